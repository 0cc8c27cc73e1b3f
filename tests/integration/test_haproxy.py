"""HAProxy in front of a cluster, as `deploy/haproxy/haproxy.cfg` sets it up: it follows the roles."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from replicad.cli.demonstration.ports import HOST, free_ports
from replicad.cli.main import main
from tests.support.nodes.daemons import Daemon
from tests.support.waiting import eventually

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "haproxy" / "haproxy.cfg"

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")


class Proxy:
    """The example with the ports of this test; every other line is as it is shipped."""

    def __init__(self, directory: Path, nodes: list[tuple[int, int]]) -> None:
        """`nodes` are the ports for clients and for HTTP."""
        self.writes, self.reads = free_ports(2)
        text = EXAMPLE.read_text()
        for name, port in (("6379", self.writes), ("6378", self.reads)):
            text = text.replace(f"bind 127.0.0.1:{name}", f"bind 127.0.0.1:{port}")
        for number, (clients, http) in enumerate(nodes, start=1):
            text = text.replace(f"192.0.2.{number}:6380 port 6382", f"127.0.0.1:{clients} port {http}")
        assert not re.search(r"192\.0\.2|:63[78]", text)
        self.config = directory / "haproxy.cfg"
        self.config.write_text(text)
        self.process = subprocess.Popen(["haproxy", "-db", "-f", self.config], stdin=subprocess.DEVNULL)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Daemon]]:
    ports = free_ports(9)
    made = []
    for number in range(3):
        clients, feed, http = ports[3 * number : 3 * number + 3]
        keys = {"listen": f"{HOST}:{clients}", "replication": f"{HOST}:{feed}", "http": f"{HOST}:{http}"}
        if number:
            keys["primary"] = f"{HOST}:{ports[1]}"
        made.append(Daemon(tmp_path, "replica" if number else "primary", f"n{number}", {}, **keys))
    for node in made:
        node.start()
    yield made
    for node in made:
        node.end()


def test_the_proxy_follows_a_switchover(nodes: list[Daemon], tmp_path: Path) -> None:
    """Writes reach the primary and reads the replicas, before a switchover and after it; the connection to
    the former primary is closed. When no replica is left the primary serves the reads."""
    http_ports = [int(node.keys["http"].rpartition(":")[2]) for node in nodes]
    proxy = Proxy(tmp_path, [(node.port, http) for node, http in zip(nodes, http_ports, strict=True)])
    try:
        eventually(lambda: role(proxy.writes) == "master")
        eventually(lambda: roles_of_reads(proxy) == {"slave"})
        with redis.Redis(port=proxy.writes, socket_timeout=10) as client:
            assert client.set("k", "before")

            assert main(["switchover", f":{nodes[0].port}", "--to", f":{nodes[1].port}"]) == 0
            eventually(lambda: writes(proxy, "after"))
            eventually(lambda: port_behind(proxy.writes) == nodes[1].port)
            eventually(lambda: is_closed_or_moved(client, nodes[1].port))
        eventually(lambda: roles_of_reads(proxy) == {"slave"})
        eventually(lambda: all(value_at(node.port) == b"after" for node in nodes))

        nodes[0].kill()
        nodes[2].kill()
        eventually(lambda: port_behind(proxy.reads) == nodes[1].port)
        assert value_at(proxy.reads) == b"after"
    finally:
        proxy.end()


def role(port: int) -> str | None:
    """What the node behind a port calls itself; None where nobody answers."""
    try:
        with redis.Redis(port=port, socket_timeout=5) as client:
            return str(client.role()[0], "ascii")
    except redis.ConnectionError:
        return None


def roles_of_reads(proxy: Proxy) -> set[str | None]:
    return {role(proxy.reads) for _ in range(6)}


def port_behind(port: int) -> int | None:
    try:
        with redis.Redis(port=port, socket_timeout=5) as client:
            return int(client.info("server")["tcp_port"])
    except redis.ConnectionError:
        return None


def writes(proxy: Proxy, value: str) -> bool:
    try:
        with redis.Redis(port=proxy.writes, socket_timeout=5) as client:
            return bool(client.set("k", value))
    except redis.RedisError:
        return False


def value_at(port: int) -> object:
    with redis.Redis(port=port, socket_timeout=5) as client:
        return client.get("k")


def is_closed_or_moved(client: redis.Redis, port: int) -> bool:
    """Whether a client that stays connected is at the new primary: it was made to connect again."""
    try:
        return int(client.info("server")["tcp_port"]) == port
    except redis.ConnectionError:
        return False
