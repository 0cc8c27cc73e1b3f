"""REPLICAD.*: positions, annotations, digests, the log, copies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from replicad import kernels
from replicad.server import replies
from replicad.types import Position
from tests.server.conftest import StartServer
from tests.server.harness import RunningServer
from tests.support.waiting import eventually


def operations(client: redis.Redis, since: int) -> list[list[list[object]]]:
    updates = client.execute_command("REPLICAD.UPDATES", since, 100, "BLOCK", 5000)
    return [update[5] for update in updates]


def test_the_position_of_the_last_write(client: redis.Redis, server: RunningServer) -> None:
    """It names the batch of this connection, whatever others wrote since."""
    fresh = Position.parse(client.execute_command("REPLICAD.POSITION").decode())
    assert fresh.sequence == 0
    client.set("a", "1")
    mine = client.execute_command("REPLICAD.POSITION")
    assert Position.parse(mine.decode()) == server.store.position
    with redis.Redis(port=server.port) as other:
        other.mset({"b": "1", "c": "2"})
        theirs = Position.parse(other.execute_command("REPLICAD.POSITION").decode())
    eventually(lambda: server.store.durable_sequence == 3)
    assert theirs.sequence == 3
    assert client.execute_command("REPLICAD.POSITION") == mine


def test_annotations_go_with_the_next_batch(client: redis.Redis) -> None:
    """The next write, or the MULTI they stand in, carries them, in the order put."""
    client.execute_command("REPLICAD.LOGDATA", b"one")
    client.execute_command("REPLICAD.LOGDATA", b"two\x00")
    client.set("a", "1")
    client.set("b", "2")
    pipeline = client.pipeline(transaction=True)
    pipeline.set("c", "3").execute_command("REPLICAD.LOGDATA", b"inside")
    pipeline.execute()
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("REPLICAD.LOGDATA", b"alone")
    pipeline.execute()
    assert client.dbsize() == 3
    eventually(lambda: len(operations(client, 1)) == 4)
    assert operations(client, 1) == [
        [[3, 0, b"", b"one"], [3, 0, b"", b"two\x00"], [1, 0, b"a", b"1"]],
        [[1, 0, b"b", b"2"]],
        [[1, 0, b"c", b"3"], [3, 0, b"", b"inside"]],
        [[3, 0, b"", b"alone"]],
    ]


def test_annotations_have_limits(client: redis.Redis) -> None:
    """One has at most a MiB; those that wait for a write have one together."""
    with pytest.raises(redis.ResponseError, match="at most 1048576 bytes"):
        client.execute_command("REPLICAD.LOGDATA", b"x" * 1048577)
    for _ in range(16):
        client.execute_command("REPLICAD.LOGDATA", b"x" * 1048576)
    with pytest.raises(redis.ResponseError, match="too many annotations"):
        client.execute_command("REPLICAD.LOGDATA", b"x")


def test_a_digest_names_its_sequence_number(client: redis.Redis) -> None:
    """Equal contents have equal digests."""
    client.set("k", "v")
    first = client.execute_command("REPLICAD.DIGEST")
    client.set("k", "w")
    second = client.execute_command("REPLICAD.DIGEST")
    client.set("k", "v")
    third = client.execute_command("REPLICAD.DIGEST")
    assert [first[0], second[0], third[0]] == [1, 2, 3]
    assert first[1] == third[1] != second[1]


def test_updates_say_where_they_stand(client: redis.Redis, server: RunningServer) -> None:
    """First and last sequence number, epoch, time, hash; COUNT bounds them; the end is empty."""
    client.mset({"a": "1", "b": "2"})
    client.set("c", "3")
    eventually(lambda: server.store.durable_sequence == 3)
    [update] = client.execute_command("REPLICAD.UPDATES", 2, 1)
    assert update[:3] == [1, 2, 1]
    assert update[3] > 0 and len(update[4]) == 16
    assert client.execute_command("REPLICAD.UPDATES", 4, 10) == []
    assert client.execute_command("REPLICAD.UPDATES", 4, 10, "BLOCK", 20) == []


def test_updates_wait_for_the_next_batch(server: RunningServer) -> None:
    """With BLOCK the reply comes when there is something to say."""
    with server.connect() as raw:
        raw.command("REPLICAD.UPDATES", "1", "10", "BLOCK", "10000")
        assert raw.has_nothing_to_read()
        redis.Redis(port=server.port).set("k", "v")
        assert raw.read_line() == b"*1\r\n"


def test_updates_for_many_readers_are_built_one_after_the_other(server: RunningServer) -> None:
    """Clients that ask for the log at once are all answered, and never is more than one reply built."""
    at_once: list[int] = []
    in_thread = server.server.state.workers.run

    async def counted(work: Callable[[], Any]) -> Any:
        at_once.append(1)
        assert len(at_once) == 1
        try:
            return await in_thread(work)
        finally:
            at_once.clear()

    server.server.state.workers.run = counted  # type: ignore[method-assign, assignment]
    with server.connect() as writer:
        writer.command("SET", "a", "1")
        writer.read(b"+OK\r\n")
    eventually(lambda: server.store.durable_sequence >= 1)
    readers = [server.connect() for _ in range(8)]
    for reader in readers:
        reader.command("REPLICAD.UPDATES", "1", "10")
    for reader in readers:
        assert reader.read_line() == b"*1\r\n"
        reader.close()


def test_updates_of_a_batch_beyond_the_budget_are_refused(start: StartServer) -> None:
    """A batch whose reply would take more than its share of what clients may have buffered is an error."""
    server = start(buffered_bytes_max=40_000, threads_max=4, durability="async")
    client = redis.Redis(port=server.port)
    client.mset({f"{number:04}": "" for number in range(400)})
    eventually(lambda: server.store.durable_sequence >= 400)
    with pytest.raises(redis.ResponseError, match="too large for a reply"):
        client.execute_command("REPLICAD.UPDATES", 1, 1)


def test_updates_that_are_gone_are_an_error(start: StartServer) -> None:
    """It says where the log begins."""
    server = start()
    client = redis.Redis(port=server.port)
    client.set("k", "v")
    server.store.oldest_log_sequence = 2
    with pytest.raises(redis.ResponseError, match="LOGGONE 2"):
        client.execute_command("REPLICAD.UPDATES", 1, 10)


def test_the_first_sequence_number_of_a_time(client: redis.Redis, server: RunningServer) -> None:
    """That of the first batch committed then or later, the next one's when there is none."""
    client.mset({"a": "1", "b": "2"})
    client.set("c", "3")
    eventually(lambda: server.store.durable_sequence == 3)
    time_us = client.execute_command("REPLICAD.UPDATES", 1, 1)[0][3]
    assert client.execute_command("REPLICAD.SEQUENCEAT", 0) == 1
    assert client.execute_command("REPLICAD.SEQUENCEAT", time_us) == 1
    assert client.execute_command("REPLICAD.SEQUENCEAT", time_us + 3_600_000_000) == 4


def test_a_time_before_the_log_is_an_error(start: StartServer) -> None:
    """It says where the log begins."""
    server = start()
    client = redis.Redis(port=server.port)
    server.store.oldest_log_sequence = 3
    with pytest.raises(redis.ResponseError, match="LOGGONE 3"):
        client.execute_command("REPLICAD.SEQUENCEAT", 0)


def test_a_checkpoint_returns_its_position(
    client: redis.Redis, server: RunningServer, tmp_path: Path
) -> None:
    """The path is absolute; what cannot be made is an error."""
    client.set("k", "v")
    answer = client.execute_command("REPLICAD.CHECKPOINT", str(tmp_path / "copy"))
    assert Position.parse(answer.decode()).sequence == 1
    with pytest.raises(redis.ResponseError, match="exists"):
        client.execute_command("REPLICAD.CHECKPOINT", str(tmp_path / "copy"))
    with pytest.raises(redis.ResponseError, match="absolute"):
        client.execute_command("REPLICAD.CHECKPOINT", "relative")
    assert client.ping()


def test_a_backup_is_asked_of_the_node(client: redis.Redis, server: RunningServer) -> None:
    """CREATE passes on what it is given and answers with JSON; what cannot be meant is refused."""
    assert client.execute_command("REPLICAD.BACKUP", "STOP") == 0
    answer = client.execute_command("REPLICAD.BACKUP", "CREATE")
    assert json.loads(answer) == {"id": 1}
    client.execute_command("REPLICAD.BACKUP", "create", "flush", "TARGET", "s3://b/p", "METADATA", b"\xff")
    assert server.node.backups == [(None, False, b""), ("s3://b/p", True, b"\xff")]
    assert client.execute_command("REPLICAD.BACKUP", "STOP") == 1
    for wrong in (("CREATE", "TARGET"), ("CREATE", "TARGET", "relative"), ("CREATE", "NOW"), ("STOP", "1")):
        with pytest.raises(redis.ResponseError):
            client.execute_command("REPLICAD.BACKUP", *wrong)
    assert len(server.node.backups) == 2


def test_the_status_is_json(client: redis.Redis) -> None:
    """The daemon's document, as it is."""
    assert json.loads(client.execute_command("REPLICAD.STATUS")) == {"role": "primary", "writable": True}


@pytest.mark.parametrize("null", [b"$-1\r\n", b"_\r\n"])
def test_operations_are_encoded_as_their_values_would_be(null: bytes) -> None:
    """The kernel writes what the encoder of replies makes of the decoded operations, and counts it before."""
    batch = kernels.Batch()
    batch.put(b"k", b"v" * 300)
    batch.delete(b"", 7)
    batch.put_log_data(b"annotation")
    batch.put(b"\r\n", b"")
    batch.add_create_family(12, b"name")
    batch.add_drop_family(3)
    expected = replies.encode(
        [list(each) for each in kernels.decode_batch(batch.data)], 3 if null[:1] == b"_" else 2
    )
    assert kernels.encode_operations(batch.data, len(expected), null) == expected
    assert kernels.encode_operations(batch.data, len(expected) - 1, null) is None
