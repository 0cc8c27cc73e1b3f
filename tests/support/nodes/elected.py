"""Three real daemons whose leader a real etcd decides, with a lease that is as short as etcd grants."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.support.etcd.servers import EtcdServer, one_server
from tests.support.nodes.daemons import Daemon
from tests.support.waiting import eventually

SERVICE = "orders"
FAILOVER = {
    "service_name": SERVICE,
    "ttl_seconds": 2,
    "keepalive_seconds": 0.4,
    "margin_seconds": 0.5,
}


class Elected:
    def __init__(self, directory: Path, etcd: EtcdServer) -> None:
        self.etcd = etcd
        ports = free_ports(9)
        tables: dict[str, dict[str, Any]] = {
            "link": {"synchronous": "any 1"},
            "failover": {"etcd": [etcd.endpoint], **FAILOVER},
        }
        self.nodes: list[Daemon] = []
        for number in range(3):
            clients, feed, http = ports[3 * number : 3 * number + 3]
            keys = {"listen": f"{HOST}:{clients}", "replication": f"{HOST}:{feed}", "http": f"{HOST}:{http}"}
            if number:
                keys["primary"] = f"{HOST}:{ports[1]}"
            name = f"n{number}"
            role = "replica" if number else "primary"
            self.nodes.append(Daemon(directory, role, name, tables, **keys))

    def start(self) -> None:
        """Until any of them may fail and another one leads."""
        for node in self.nodes:
            node.start()
        eventually(self.is_settled)

    def leader(self) -> Daemon | None:
        """Whom the nodes name that run; None while they name none, or not the same."""
        named = set()
        for node in self.nodes:
            if node.process is not None:
                named.add(_leader_port(node))
        found = [node for node in self.nodes if node.port in named]
        return found[0] if len(named) == 1 and found else None

    def is_settled(self) -> bool:
        """All that run follow one, and count."""
        running = [node for node in self.nodes if node.process is not None]
        leader = self.leader()
        if leader is None:
            return False
        failover = status(leader)
        rule = (failover["cluster"] or {}).get("rule")
        return (
            failover["may_acknowledge_seconds"] > 0
            and rule is not None
            and len(rule["replicas"]) == len(running) - 1
            and not any(row["not_eligible"] for row in failover["cluster"]["next"])
        )

    def address(self, node: Daemon) -> tuple[str, int]:
        return node.host, node.port


def status(node: Daemon) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(node.ask("REPLICAD.FAILOVER", "STATUS"))
    return document


def _leader_port(node: Daemon) -> int | None:
    cluster = status(node)["cluster"]
    leader = cluster and cluster["leader"]
    if not leader or not leader["begun"]:
        return None
    return int(leader["clients"].rpartition(":")[2])


@contextlib.contextmanager
def elected(directory: Path) -> Iterator[Elected]:
    """Started; whatever is left of it is ended."""
    etcd = one_server(directory)
    made = None
    try:
        etcd.start()
        made = Elected(directory, etcd)
        made.start()
        yield made
    finally:
        for node in made.nodes if made is not None else ():
            node.end()
        etcd.end()
