"""ioredis, the client of Node.js, with users, over TLS and in clear text, through a kill and a switchover."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from replicad.cli.demonstration.ports import HOST
from tests.soak.cluster import SoakCluster
from tests.support.ioredis import VERSIONS, Client, needs_ioredis
from tests.support.waiting import eventually

pytestmark = needs_ioredis


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made: list[Client] = []
    yield made
    for client in made:
        client.end()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[SoakCluster]:
    """Two nodes that speak TLS and have users."""
    cluster = SoakCluster.make(tmp_path, ("paris", "lyon"))
    try:
        for node in cluster.nodes.values():
            cluster.start(node)
        yield cluster
    finally:
        for node in cluster.nodes.values():
            cluster.stop(node)


@pytest.mark.parametrize("version", VERSIONS)
def test_with_tls_and_users_through_a_switchover_and_a_kill(
    nodes: SoakCluster, clients: list[Client], version: str
) -> None:
    """It logs in by password and by certificate, and finds the primary again; no command fails."""
    ca, ports = nodes.authority.directory, [(HOST, node.port) for node in nodes.nodes.values()]
    protocol = 3 if version == "ioredis-6" else None
    trust = {"ca": f"{ca}/ca.crt", "protocol": protocol}
    app = Client(version, addresses=ports, username="app", password=nodes.token, **trust)
    clients.append(app)
    assert app.do("ready") == 1
    assert app.do("call", "ACL", "WHOAMI") == "app"
    everything_works(app)
    with pytest.raises(
        RuntimeError, match="NOPERM User app has no permissions to run the 'shutdown' command"
    ):
        app.do("call", "SHUTDOWN")

    shown = {"cert": f"{ca}/operator.crt", "key": f"{ca}/operator.key"}
    operator = Client(version, addresses=ports, **trust, **shown)
    clients.append(operator)
    assert operator.do("call", "ACL", "WHOAMI") == "operator"

    paris, lyon = nodes.nodes.values()
    eventually(lambda: nodes.status(lyon).get("link", {}).get("state") == "streaming")
    nodes.run("switchover", paris.address, "--to", "lyon")
    assert app.do("set", "after the switchover", "1") == "OK"
    assert app.do("port") == lyon.port
    assert app.do("ready") >= 2

    # Killed, and back at the same address.
    assert lyon.process is not None
    lyon.process.kill()
    lyon.process.wait()
    lyon.process = None
    nodes.start(lyon)
    assert app.do("set", "after the kill", "1") == "OK"
    assert app.do("get", "after the switchover") == "1"
    assert app.do("role") == "master"


@pytest.mark.parametrize("version", VERSIONS)
def test_in_clear_text_with_a_password(tmp_path: Path, clients: list[Client], version: str) -> None:
    """The same without TLS, on the loopback; a wrong password is WRONGPASS."""
    cluster = SoakCluster.make(tmp_path, ("paris",))
    (paris,) = cluster.nodes.values()
    text = paris.config.read_text()
    tls, users = text.index("[tls]"), text.index("[users.operator]")
    paris.config.write_text(text[:tls] + text[users:])
    client = tmp_path / "config" / "replicad" / "client.toml"
    (tmp_path / "token").write_text(cluster.token)
    (tmp_path / "token").chmod(0o600)
    client.write_text(f'user = "app"\npassword_file = "{tmp_path}/token"\n')
    try:
        cluster.start(paris)
        protocol = 3 if version == "ioredis-6" else None
        options = {"addresses": [(HOST, paris.port)], "username": "app", "protocol": protocol}
        app = Client(version, **options, password=cluster.token)
        clients.append(app)
        everything_works(app)
        with pytest.raises(RuntimeError, match="WRONGPASS"):
            app.do("call", "AUTH", "app", "wrong")
    finally:
        cluster.stop(paris)


def everything_works(client: Client) -> None:
    assert client.do("bytes") is True
    assert client.do("pipeline", 500) is True
    assert client.do("multi") == [6, "OK", "x"]
    assert client.do("role") == "master"
