"""redis-cli and redis-py log in by password, by certificate, and by the Unix socket of the machine."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from replicad.cli.demonstration.ports import HOST
from tests.soak.cluster import SoakCluster, SoakNode


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoakCluster]:
    """One node, with TLS, users and a Unix socket."""
    directory = tmp_path_factory.mktemp("login")
    cluster = SoakCluster.make(directory, ("paris",))
    (node,) = cluster.nodes.values()
    node.config.write_text(f'listen_unix = "{directory}/node.sock"\n' + node.config.read_text())
    try:
        cluster.start(node)
        yield cluster
    finally:
        cluster.stop(node)


@pytest.fixture
def node(cluster: SoakCluster) -> SoakNode:
    return cluster.nodes["paris"]


def by_redis_cli(cluster: SoakCluster, *arguments: str, token: str | None = None) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | ({"REDISCLI_AUTH": token} if token else {})
    done = subprocess.run(
        ["redis-cli", *arguments], capture_output=True, text=True, env=environment, timeout=30, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="*** redis-cli is not installed ***")
def test_redis_cli_is_who_its_password_its_certificate_or_its_socket_says(
    cluster: SoakCluster, node: SoakNode
) -> None:
    """By password it is that user, by certificate the user of that name, by the socket an admin."""
    ca = cluster.authority.directory
    tls = ["-h", HOST, "-p", str(node.port), "--tls", "--cacert", f"{ca}/ca.crt"]
    shown = ["--cert", f"{ca}/operator.crt", "--key", f"{ca}/operator.key"]
    whoami = ["ACL", "WHOAMI"]
    assert by_redis_cli(cluster, *tls, "--user", "app", *whoami, token=cluster.token).endswith("app")
    assert by_redis_cli(cluster, *tls, *shown, *whoami) == "operator"
    assert by_redis_cli(cluster, *tls, *shown, "-3", *whoami) == "operator"
    assert "NOAUTH" in by_redis_cli(cluster, *tls, "GET", "key")
    socket = f"{cluster.directory}/node.sock"
    assert by_redis_cli(cluster, "-s", socket, "SET", "key", "value") == "OK"


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_is_who_its_password_its_certificate_or_its_socket_says(
    cluster: SoakCluster, node: SoakNode, protocol: int
) -> None:
    """The same, in both protocols; without any of them nothing is done."""
    ca: Path = cluster.authority.directory
    tls = {"host": HOST, "port": node.port, "ssl": True, "ssl_ca_certs": f"{ca}/ca.crt", "protocol": protocol}
    shown = {"ssl_certfile": f"{ca}/operator.crt", "ssl_keyfile": f"{ca}/operator.key"}
    with redis.Redis(**tls, username="app", password=cluster.token) as app:
        assert app.acl_whoami() in ("app", b"app")
        with pytest.raises(redis.exceptions.NoPermissionError):
            app.execute_command("SHUTDOWN")
    with redis.Redis(**tls, **shown) as operator:
        assert operator.acl_whoami() in ("operator", b"operator")
    with redis.Redis(**tls) as nobody, pytest.raises(redis.exceptions.AuthenticationError):
        nobody.get("key")
    socket = f"{cluster.directory}/node.sock"
    with redis.Redis(unix_socket_path=socket, protocol=protocol) as local:
        assert local.set("key", "value")


def test_a_port_that_is_full_is_not_closed_to_operators(cluster: SoakCluster, node: SoakNode) -> None:
    """By the socket, and by the certificate of an administrator; others are refused."""
    ca = cluster.authority.directory
    tls: dict[str, Any] = {"host": HOST, "port": node.port, "ssl": True, "ssl_ca_certs": f"{ca}/ca.crt"}
    tls |= {"retry": None, "socket_timeout": 10}
    app = tls | {"username": "app", "password": cluster.token}
    shown = {"ssl_certfile": f"{ca}/operator.crt", "ssl_keyfile": f"{ca}/operator.key"}
    with contextlib.ExitStack() as stack:
        operator = stack.enter_context(redis.Redis(unix_socket_path=f"{cluster.directory}/node.sock"))
        before = operator.config_get("maxclients")["maxclients"]
        stack.callback(operator.config_set, "maxclients", before)
        operator.config_set("maxclients", 3)
        for _ in range(2):
            assert stack.enter_context(redis.Redis(**app)).ping()
        with redis.Redis(**app) as refused, pytest.raises(redis.RedisError):
            refused.ping()
        assert stack.enter_context(redis.Redis(**tls, **shown)).client_list()
