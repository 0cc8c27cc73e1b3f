"""Users of a real etcd, made over its gateway as an operator makes them with etcdctl."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64encode
from typing import Any

from tests.support.etcd.servers import EtcdServer

ROOT_PASSWORD = "root's own"
USER = "replicad"


def ask(server: EtcdServer, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    request = urllib.request.Request(
        server.endpoint + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **({"Authorization": token} if token else {})},
    )
    # The environment's proxies are for other hosts.
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=server.context))
    opener = urllib.request.build_opener(*handlers)
    with opener.open(request, timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def add_users(server: EtcdServer, password: str, prefix: bytes) -> None:
    """Root, and USER, which may read and write what begins with `prefix`. Logins are not enabled yet."""
    end = prefix[:-1] + bytes((prefix[-1] + 1,))
    permission = {"permType": "READWRITE", "key": _text(prefix), "range_end": _text(end)}
    ask(server, "/v3/auth/user/add", {"name": "root", "password": ROOT_PASSWORD})
    ask(server, "/v3/auth/user/grant", {"user": "root", "role": "root"})
    ask(server, "/v3/auth/role/add", {"name": USER})
    ask(server, "/v3/auth/role/grant", {"name": USER, "perm": permission})
    ask(server, "/v3/auth/user/add", {"name": USER, "password": password})
    ask(server, "/v3/auth/user/grant", {"user": USER, "role": USER})


def enable_logins(server: EtcdServer) -> None:
    ask(server, "/v3/auth/enable", {})


def change_password(server: EtcdServer, password: str) -> None:
    """As root. The tokens of the user end with it."""
    answer = ask(server, "/v3/auth/authenticate", {"name": "root", "password": ROOT_PASSWORD})
    ask(server, "/v3/auth/user/changepw", {"name": USER, "password": password}, answer["token"])


def _text(data: bytes) -> str:
    return b64encode(data).decode()
