"""SELECT chooses a column family, and everything that follows is of that family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from replicad import Options
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RunningServer


@pytest.fixture(params=["sync", "async"])
def store_server(request: pytest.FixtureRequest, start: StartServer, tmp_path: Path) -> RunningServer:
    return start(open_database(tmp_path / "data", Options(durability=request.param)), on_uvloop=True)


@pytest.fixture
def client(store_server: RunningServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=store_server.port, socket_timeout=10, single_connection_client=True) as connected:
        yield connected


def create(client: redis.Redis, name: str) -> int:
    number: int = client.execute_command("REPLICAD.FAMILY", "CREATE", name)
    return number


def test_each_database_has_keys_of_its_own(client: redis.Redis) -> None:
    """Reads, writes, counters, counts and enumeration are of the selected family."""
    number = create(client, "orders")
    assert number == 1
    client.mset({"k": "0", "only": "x"})
    client.select(1)
    assert client.mget("k", "only") == [None, None] and client.dbsize() == 0
    assert client.set("k", "5") and client.incr("k") == 6 and client.append("k", "0") == 2
    assert client.set("k", "no", nx=True) is None
    assert client.mset({"a": "1", "b": "2"}) and client.delete("a", "only") == 1
    assert sorted(client.keys("*")) == [b"b", b"k"] and sorted(client.scan_iter()) == [b"b", b"k"]
    assert client.dbsize() == 2
    client.select(0)
    assert client.mget("k", "only", "b") == [b"0", b"x", None] and client.dbsize() == 2
    assert client.exists("b") == 0
    keyspace = client.info("keyspace")
    assert keyspace["db0"]["keys"] == 2 and keyspace["db1"]["keys"] == 2
    assert client.config_get("databases") == {"databases": "2"}


def test_a_pipeline_sees_its_own_writes_in_each_family(
    client: redis.Redis, store_server: RunningServer
) -> None:
    """Also before they are in the log, and in one transaction over two families, which is one batch."""
    create(client, "f")
    pipeline = client.pipeline(transaction=False)
    pipeline.set("k", 0).execute_command("SELECT", 1)
    pipeline.get("k").set("k", 1).get("k").mget("k", "x").execute_command("SELECT", 0)
    pipeline.get("k")
    assert pipeline.execute() == [True, True, None, True, b"1", [b"1", None], True, b"0"]
    since = store_server.store.latest_sequence + 1
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("SELECT", 1)
    pipeline.set("k", "in one").get("k").execute_command("SELECT", 0)
    pipeline.get("k").set("k", "and zero")
    assert pipeline.execute() == [True, True, b"in one", True, b"0", True]
    updates = client.execute_command("REPLICAD.UPDATES", since, 10, "BLOCK", 5000)
    assert [operation[:3] for operation in updates[0][5]] == [[1, 1, b"k"], [1, 0, b"k"]]
    assert len(updates) == 1


def test_families_come_and_go(client: redis.Redis, store_server: RunningServer) -> None:
    """LIST shows them; who has a dropped one selected is told, and nobody else is disturbed."""
    number = create(client, "f")
    assert client.execute_command("REPLICAD.FAMILY", "LIST") == [[b"default", 0], [b"f", number]]
    with redis.Redis(port=store_server.port, db=number) as other:
        assert other.set("k", "v")
        assert client.execute_command("REPLICAD.FAMILY", "DROP", number) in (b"OK", "OK", True)
        for command in (("SET", "k", "v"), ("DEL", "k")):
            with pytest.raises(redis.ResponseError, match=r"out of range|was dropped"):
                other.execute_command(*command)
        with pytest.raises(redis.ResponseError, match="was dropped"):
            other.get("k")
        with pytest.raises(redis.ResponseError, match="was dropped"):
            other.keys("*")
    assert client.set("k", "still here")
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        client.select(number)
    for words, why in [
        (("CREATE", "default"), "already"),
        (("CREATE", b"\xff"), "UTF-8"),
        (("CREATE", ""), "1 to 255 bytes"),
        (("DROP", 0), "cannot be dropped"),
        (("DROP", 9), "no column family 9"),
        (("NOPE",), "unknown subcommand"),
    ]:
        with pytest.raises(redis.ResponseError, match=why):
            client.execute_command("REPLICAD.FAMILY", *words)
    assert create(client, "f") == number + 1


def test_a_write_before_a_drop_in_one_piece(client: redis.Redis) -> None:
    """What was written in the same tick goes first, so that the drop makes nothing of it fail."""
    create(client, "f")
    pipeline = client.pipeline(transaction=False)
    pipeline.set("zero", 1).execute_command("SELECT", 1)
    pipeline.set("k", 1).execute_command("REPLICAD.FAMILY", "DROP", 1)
    pipeline.set("k", 2).execute_command("SELECT", 0)
    pipeline.get("zero")
    results = pipeline.execute(raise_on_error=False)
    assert results[2] is True and isinstance(results[4], redis.ResponseError) and results[6] == b"1"


def test_a_replica_has_them_for_reading(start: StartServer, tmp_path: Path) -> None:
    """SELECT and LIST work where CREATE and DROP are refused."""
    store = open_database(tmp_path / "data", Options())
    number = store.create_family("f")
    store.put(b"k", b"v", family=number)
    server = start(store, FakeNode(role="replica", is_writable=False, primary_address=("127.0.0.1", 6381)))
    with redis.Redis(port=server.port, db=number) as client:
        assert client.get("k") == b"v" and client.keys() == [b"k"]
        pipeline = client.pipeline(transaction=True)
        assert pipeline.get("k").execute() == [b"v"]
        for words in (("CREATE", "g"), ("DROP", number)):
            with pytest.raises(redis.ReadOnlyError):
                client.execute_command("REPLICAD.FAMILY", *words)
