"""The HTTP and replication ports of real nodes."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from pathlib import Path

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.support.nodes.daemons import Daemon
from tests.support.waiting import eventually


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_nodes_answer_for_themselves(tmp_path: Path) -> None:
    """Each node says over HTTP what it is; a replica that feeds a replica shows both sides."""
    client, feed, web, client2, feed2, web2, client3 = free_ports(7)
    primary = Daemon(
        tmp_path,
        "primary",
        "p",
        {},
        listen=f"{HOST}:{client}",
        replication=f"{HOST}:{feed}",
        http=f"{HOST}:{web}",
    )
    replica = Daemon(
        tmp_path,
        "replica",
        "r",
        {},
        listen=f"{HOST}:{client2}",
        primary=f"{HOST}:{feed}",
        replication=f"{HOST}:{feed2}",
        http=f"{HOST}:{web2}",
    )
    second = Daemon(tmp_path, "replica", "second", {}, listen=f"{HOST}:{client3}", primary=f"{HOST}:{feed2}")
    with contextlib.ExitStack() as stack:
        for daemon in (primary, replica, second):
            stack.callback(daemon.end)
        primary.start()
        replica.start()
        eventually(lambda: fetch(web2, "/replica?lag=0")[0] == 200)
        assert fetch(web, "/primary")[0] == 200 and fetch(web2, "/primary")[0] == 503
        assert json.loads(fetch(web, "/status")[1])["role"] == "primary"
        eventually(lambda: json.loads(fetch(web, "/status")[1])["event_loop"]["lag_max_seconds"] > 0)
        eventually(lambda: "replicad_replica_sequence{" in fetch(web, "/metrics")[1])
        second.start()
        eventually(lambda: len(second.status()["path"]) == 2)
        eventually(lambda: "replicad_replica_sequence{" in fetch(web2, "/metrics")[1])
