"""REPLICAD.VERIFY: marks and digests for other nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from replicad.store.database import Database, open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RunningServer
from tests.support.stores.small import fill, small_options

ID = "00112233445566778899aabbccddeeff"


@pytest.fixture
def server(start: StartServer, tmp_path: Path) -> RunningServer:
    database = open_database(tmp_path / "data", small_options())
    fill(database, 500)
    return start(database)


@pytest.fixture
def client(server: RunningServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, socket_timeout=10, single_connection_client=True) as connected:
        yield connected


def ask(client: redis.Redis, *words: Any) -> Any:
    return client.execute_command("REPLICAD.VERIFY", *words)


def test_a_mark_and_its_digests(client: redis.Redis, server: RunningServer) -> None:
    """What is asked of a mark is of its sequence number, whatever is written afterwards."""
    store: Database = server.store
    number = store.create_family("orders")
    store.put(b"k", b"v", family=number)
    sequence = ask(client, "MARK", ID, 60)
    assert sequence == store.latest_sequence
    store.put(b"k", b"another", family=number)
    assert ask(client, "FAMILIES", ID, 0) == [sequence, [[0, b"default"], [number, b"orders"]]]
    encoded = b"\1\0\0\0\1\0\0\0kv"
    whole = [b"", len(encoded), hashlib.sha256(encoded).digest()]
    assert ask(client, "SPLIT", ID, number, "", "", 1000, 5) == [whole]
    assert ask(client, "DIGESTS", ID, number, 1000, "", "") == [whole]
    assert ask(client, "ENTRIES", ID, number, "", "") == [1, [[b"k", hashlib.sha256(b"v").digest()]]]
    parts = ask(client, "SPLIT", ID, 0, "", "", 4096, 4)
    assert len(parts) == 4 and all(part[1] >= 4096 for part in parts)
    bounds = ["", *(part[0] for part in parts)]
    assert ask(client, "DIGESTS", ID, 0, 1 << 20, *bounds) == parts
    assert ask(client, "RELEASE", ID) and ask(client, "RELEASE", ID)
    with pytest.raises(redis.ResponseError, match="NOMARK"):
        ask(client, "SPLIT", ID, 0, "", "", 4096, 4)


def test_a_node_without_writes_holds_a_snapshot(start: StartServer, tmp_path: Path) -> None:
    """A replica refuses to write a mark, waits for one that may come, and holds a snapshot when asked."""
    with open_database(tmp_path / "origin", small_options()) as origin:
        fill(origin, 10)
        origin.create_base_copy(tmp_path / "replica")
    database = open_database(tmp_path / "replica", small_options(), role="replica")
    server = start(database, FakeNode(role="replica", is_writable=False))
    with redis.Redis(port=server.port, socket_timeout=10) as client:
        with pytest.raises(redis.ReadOnlyError):
            ask(client, "MARK", ID, 60)
        with pytest.raises(redis.ResponseError, match="NOMARK"):
            ask(client, "FAMILIES", ID, 20)
        assert ask(client, "SNAPSHOT", ID, 60) == database.latest_sequence
        assert ask(client, "FAMILIES", ID, 0)[1] == [[0, b"default"]]


def test_no_mark_is_written_while_the_role_changes(client: redis.Redis, server: RunningServer) -> None:
    """A mark is a batch in the log: where writes wait it is refused, and may be asked for again."""
    before = server.store.latest_sequence
    server.node.held = True
    with pytest.raises(redis.exceptions.TryAgainError):
        ask(client, "MARK", ID, 60)
    server.node.held = False
    assert ask(client, "MARK", ID, 60) == server.store.latest_sequence == before + 1


@pytest.mark.parametrize(
    "words",
    [
        ["MARK", "abc", 60],
        ["MARK", ID, 0],
        ["MARK", ID, 1 << 40],
        ["MARK", ID],
        ["SPLIT", ID, 0, "", "", 0, 1],
        ["SPLIT", ID, 0, "", "", 1, 0],
        ["SPLIT", ID, 99, "", "", 1, 1],
        ["DIGESTS", ID, 0, 1, ""],
        ["ENTRIES", ID, -1, "", ""],
        ["NONSENSE", ID],
    ],
)
def test_nonsense_is_refused(client: redis.Redis, words: list[Any]) -> None:
    """Bad arguments are errors, and the connection and the marks stay as they are."""
    ask(client, "SNAPSHOT", ID, 60)
    with pytest.raises(redis.ResponseError):
        ask(client, *words)
    assert ask(client, "FAMILIES", ID, 0)[0] == 500


def test_a_mark_does_not_need_the_replicas_that_writes_wait_for(start: StartServer, tmp_path: Path) -> None:
    """Nodes are compared when something is wrong with one of them, too."""
    server = start(open_database(tmp_path / "data", small_options()), node=FakeNode(rule="any 1"))
    with redis.Redis(port=server.port, socket_timeout=10) as client:
        with pytest.raises(redis.ResponseError, match="UNCERTAIN"):
            client.set("k", "v")
        assert ask(client, "MARK", ID, 60) == server.store.latest_sequence
