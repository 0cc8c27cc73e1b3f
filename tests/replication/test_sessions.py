"""A primary and its replicas, session by session: identify, agree, bootstrap, stream, break, begin again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from replicad.env.local import LocalFileSystem
from replicad.errors import PoisonedError
from replicad.net.certificates import Certificate
from replicad.replication.copy.copies import SourceCopy
from replicad.replication.intake import DirectIntake
from replicad.replication.primary.slots import Slots
from replicad.replication.wire.identify import FEATURES, Identity, check_hello
from replicad.replication.wire.messages import Ack, Hello, Message, PositionClaim, Refuse, Welcome
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence
from tests.support.replication.fake_nodes import OPTIONS, FakeData, Primary, Replica, running
from tests.support.replication.fake_store import FakeStore, list_files
from tests.support.waiting import until


def written(count: int, **fields: object) -> FakeStore:
    store = FakeStore(**fields)  # type: ignore[arg-type]
    for number in range(count):
        store.write(b"value %d" % number)
    return store


def caught_up(replica: Replica, primary: Primary) -> bool:
    store = replica.data.store
    return store is not None and store.position == primary.store.position


async def test_an_empty_replica_bootstraps_and_streams(tmp_path: Path) -> None:
    """A replica without data gets a copy, installs it, and follows from the copy's position on."""
    primary = Primary(written(10), tmp_path / "p")
    replica = Replica(primary, FakeData(), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: caught_up(replica, primary))
        assert replica.data.installed == [["000000.sst", "000001.sst", "000002.sst", "CURRENT"]]
        primary.store.write(b"more")
        await until(lambda: caught_up(replica, primary))
        assert replica.follower.link.state == "streaming"
        await until(lambda: not any(primary.node.copies.directory.iterdir()))
        (slot,) = primary.node.slots.all()
        await until(lambda: primary.node.slots.oldest_needed() == primary.store.position.sequence + 1)
        await primary.node.tick()
        assert primary.records.slots[slot.node_id].sequence == primary.store.position.sequence


async def test_a_replica_behind_streams_from_the_log(tmp_path: Path) -> None:
    """As long as the log is there nothing is copied."""
    primary, data = Primary(written(50), tmp_path / "p"), FakeData(FakeStore())
    replica = Replica(primary, data, tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: caught_up(replica, primary))
        assert data.installed == []


async def test_a_replica_whose_log_is_gone_keeps_its_data_until_the_copy_is_verified(tmp_path: Path) -> None:
    """The old store serves until the swap; then the replica follows again."""
    primary = Primary(written(50), tmp_path / "p")
    primary.store.forget_log_before(30)
    old = FakeStore()
    old.apply_frames(b"".join(frame.data for frame in written(5).frames))
    data = FakeData(old)
    replica = Replica(primary, data, tmp_path / "r")
    seen: list[bool] = []
    install = data.install

    async def installing(staging: Path) -> None:
        seen.append(data.store is old)
        await install(staging)

    data.install = installing  # type: ignore[method-assign]
    async with running(replica, primary):
        await until(lambda: caught_up(replica, primary))
        assert seen == [True]
        assert data.store is not old


async def test_a_copy_is_put_in_place_also_when_the_link_is_ended(tmp_path: Path) -> None:
    """Who ends it while the copy is installed waits, and finds the data there."""
    primary = Primary(written(10), tmp_path / "p")
    data = FakeData()
    replica = Replica(primary, data, tmp_path / "r")
    go, install = asyncio.Event(), data.install

    async def installing(staging: Path) -> None:
        replica.task.cancel()
        await go.wait()
        await install(staging)

    data.install = installing  # type: ignore[method-assign]
    async with running(primary):
        await until(lambda: replica.task.cancelling() > 0)
        assert not replica.task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await replica.task
        assert data.store is not None
        assert data.store.position == primary.store.position


STOPS = {
    "another database": (
        FakeStore(database_id=b"x" * 16, position=Position(Epoch(1), Sequence(5), HistoryHash(5))),
        "wrong-database",
    ),
    "ahead": (written(30), "replica-ahead"),
    "other content": (FakeStore(position=Position(Epoch(1), Sequence(5), HistoryHash(5))), "diverged"),
}


@pytest.mark.parametrize("name", STOPS)
async def test_what_must_not_replicate_stops_with_the_reason(tmp_path: Path, name: str) -> None:
    """Wrong database, replica ahead, diverged: the link stops, says why, and no data changes."""
    store, code = STOPS[name]
    before = store.position
    primary, data = Primary(written(10), tmp_path / "p"), FakeData(store)
    replica = Replica(primary, data, tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: replica.follower.link.state == "stopped")
        await until(lambda: len(primary.tasks) >= 3)
        assert replica.follower.link.stopped_code == code
        assert replica.follower.waits_for.startswith("the operator: ")
        assert data.store is store
        assert data.installed == []
        assert store.position == before
        assert primary.node.slots.all() == ()


async def test_a_replica_in_a_higher_epoch_is_reported(tmp_path: Path) -> None:
    """The primary tells who runs it, and the replica asks again: it may be a replica that will catch up."""
    primary = Primary(written(10), tmp_path / "p")
    fork = primary.store.position_at(5)
    assert fork is not None
    store = FakeStore(position=Position(Epoch(7), Sequence(6), HistoryHash(5)))
    store.epochs = (EpochRecord(Epoch(7), b"e" * 16, fork),)
    replica = Replica(primary, FakeData(store), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: len(primary.tasks) >= 3)
        assert set(primary.higher_epochs) == {7}
        assert replica.follower.link.stopped_code is None
        assert primary.node.slots.all() == ()


async def test_a_higher_epoch_without_proof_is_an_error_of_the_replica(tmp_path: Path) -> None:
    """It stops, with the reason; the primary stays what it is."""
    store = FakeStore(position=Position(Epoch(7), Sequence(5), HistoryHash(5)))
    primary = Primary(written(10), tmp_path / "p")
    replica = Replica(primary, FakeData(store), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: replica.follower.link.stopped_code == "higher-epoch")
        assert "without its record" in replica.follower.waits_for
        assert primary.higher_epochs == []


async def test_a_primary_that_was_replaced_by_an_empty_one_wipes_nobody(tmp_path: Path) -> None:
    """The replica of an empty primary with the same database id stops, and follows when the data is back."""
    empty, data = Primary(FakeStore(), tmp_path / "p"), FakeData()
    data.store = written(5)
    replica = Replica(empty, data, tmp_path / "r")
    async with running(replica, empty):
        await until(lambda: replica.follower.link.stopped_code == "replica-ahead")
        assert data.store.position.sequence == 5
        for number in range(8):
            empty.store.write(b"value %d" % number)
        await until(lambda: caught_up(replica, empty))
        assert replica.follower.link.state == "streaming"


def dialled_again(primary: Primary, before: int) -> bool:
    return len(primary.ends) > before


async def test_breaks_are_survived(tmp_path: Path) -> None:
    """A connection that breaks again and again, and a primary that is away, only delay the replica."""
    primary = Primary(written(10), tmp_path / "p")
    replica = Replica(primary, FakeData(), tmp_path / "r")
    async with running(replica, primary):
        cut = 0
        for number in range(10):
            primary.store.write(b"%d" % number)
            if primary.up:
                await until(partial(dialled_again, primary, cut))
            else:
                await until(lambda: "nothing listens" in replica.follower.waits_for)
            cut = len(primary.ends)
            primary.cut()
            primary.up = number % 3 != 0
        primary.up = False
        await until(lambda: "nothing listens" in replica.follower.waits_for)
        primary.store.write(b"while the primary was away")
        primary.up = True
        await until(lambda: caught_up(replica, primary))
        assert replica.follower.link.attempts == 0


async def test_a_copy_that_has_no_room_is_asked_for_ever_more_rarely(tmp_path: Path) -> None:
    """That the primary agrees to send it is no progress; the first attempt that has room ends the waiting."""
    primary = Primary(written(10), tmp_path / "p")
    replica = Replica(primary, FakeData(), tmp_path / "r", options=replace(OPTIONS, free_bytes_min=1 << 60))
    async with running(replica, primary):
        await until(lambda: replica.follower.link.attempts >= 4)
        assert "bootstrapping" in replica.states
        assert "in reserve" in str(replica.follower.link.last_error)
        replica.follower.reconfigure(OPTIONS)
        await until(lambda: caught_up(replica, primary))
        await until(lambda: replica.follower.link.attempts == 0)


async def test_a_stream_that_brings_nothing_is_asked_for_ever_more_rarely(tmp_path: Path) -> None:
    """A store that takes no frame is no progress either."""
    primary, store = Primary(written(10), tmp_path / "p"), FakeStore()
    apply = store.apply_frames

    def refuse(frames: bytes) -> Position:
        raise OSError(28, "no room")

    store.apply_frames = refuse  # type: ignore[method-assign]
    replica = Replica(primary, FakeData(store), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: replica.follower.link.attempts >= 4)
        assert "streaming" in replica.states
        store.apply_frames = apply  # type: ignore[method-assign]
        await until(lambda: caught_up(replica, primary))
        await until(lambda: replica.follower.link.attempts == 0)


async def test_a_full_received_log_waits_for_room_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No person is asked for, the primary is left alone, and the stream goes on when there is room."""
    primary = Primary(written(10), tmp_path / "p")
    monkeypatch.setattr(DirectIntake, "refusal", "all is full")
    options = replace(OPTIONS, stopped_retry_seconds=3600.0)
    replica = Replica(primary, FakeData(FakeStore()), tmp_path / "r", options=options)
    async with running(replica, primary):
        await until(lambda: replica.follower.link.state == "waiting" and replica.follower.link.attempts)
        assert replica.follower.waits_for == "room for more log: all is full"
        assert len(primary.ends) == 1
        monkeypatch.setattr(DirectIntake, "refusal", None)
        await until(lambda: caught_up(replica, primary))
        assert "stopped" not in replica.states


async def test_a_bootstrap_resumes_with_the_files_it_has(tmp_path: Path) -> None:
    """After a break the same copy goes on, and complete files are not sent again."""
    primary = Primary(written(10), tmp_path / "p")
    data = FakeData()
    replica = Replica(primary, data, tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: replica.follower.progress and replica.follower.progress.files >= 2, pause=0)
        (copy,) = [session.server and session.server.copy for session in primary.node.sessions.values()]
        assert isinstance(copy, SourceCopy)
        primary.cut()
        await until(lambda: caught_up(replica, primary))
        assert len(data.installed) == 1
        # Two pieces were on their way. Of which files depends on how many came whole before they were named.
        partly = sum(sorted(entry.size for entry in copy.entries)[-2:])
        assert copy.sent_bytes <= copy.size_bytes + partly


async def test_a_copy_survives_a_restart_of_the_primary(tmp_path: Path) -> None:
    """A primary that comes back finds the copy it was serving; half-made ones are removed."""
    store = written(10)
    primary = Primary(store, tmp_path / "p")
    copy = primary.node.copies.make(b"R" * 16)
    (primary.node.copies.directory / "0123.making").mkdir()
    again = Primary(store, tmp_path / "p")
    found = again.node.copies.find(b"R" * 16)
    assert found is not None
    assert (found.copy_id, found.position, found.entries) == (copy.copy_id, copy.position, copy.entries)
    assert [path.name for path in again.node.copies.directory.iterdir()] == [copy.path.name]
    store.write(b"x")
    store.forget_log_before(store.position.sequence + 1)
    store.oldest = store.position.sequence + 1
    assert again.node.copies.find(b"R" * 16) is None
    assert list(again.node.copies.directory.iterdir()) == []


async def test_a_copy_whose_removal_was_interrupted_is_no_copy(tmp_path: Path) -> None:
    """What a crash leaves of a copy that was being removed is not offered, and goes at the next start."""
    store = written(10)
    primary = Primary(store, tmp_path / "p")
    copies = primary.node.copies
    copy = copies.make(b"R" * 16)

    class Dying(LocalFileSystem):
        def remove_tree(self, path: Path) -> None:
            (path / "CURRENT").unlink()
            raise OSError("killed")

    copies._env = replace(copies._env, fs=Dying())
    with pytest.raises(OSError, match="killed"):
        copies.remove(copy)
    assert any(copies.directory.iterdir())
    again = Primary(store, tmp_path / "p")
    assert again.node.copies.find(b"R" * 16) is None
    assert list(again.node.copies.directory.iterdir()) == []


async def test_files_that_are_here_are_not_fetched(tmp_path: Path) -> None:
    """A file of the same SHA-256 and size in the replica's present data is linked."""
    primary = Primary(written(10), tmp_path / "p")
    have = tmp_path / "have"
    primary.store.create_base_copy(have)
    data = FakeData(local={file.sha256: have / file.name for file in list_files(have)})
    replica = Replica(primary, data, tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: caught_up(replica, primary))
        sent = [type(message).__name__ for end in primary.ends for message in end.sent]
        assert "Data" not in sent


async def test_a_damaged_copy_is_not_installed(tmp_path: Path) -> None:
    """A file whose content is not what the list says is refused, and fetched again until it is right."""
    primary = Primary(written(10), tmp_path / "p")
    copy = primary.node.copies.make(b"R" * 16)
    right = (copy.path / "000001.sst").read_bytes()
    (copy.path / "000001.sst").write_bytes(b"X" + right[1:])
    data = FakeData()
    replica = Replica(primary, data, tmp_path / "r")
    async with running(replica, primary):
        await until(
            lambda: replica.follower.link.last_error and "SHA-256" in replica.follower.link.last_error
        )
        assert data.installed == []
        (copy.path / "000001.sst").write_bytes(right)
        await until(lambda: caught_up(replica, primary))


async def test_a_silent_peer_is_given_up(tmp_path: Path) -> None:
    """When nothing comes for the idle time, the session ends and says so."""
    primary = Primary(written(3), tmp_path / "p")
    replica = Replica(primary, FakeData(FakeStore()), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: caught_up(replica, primary))
        (end,) = primary.ends
        assert end.other is not None
        end.other.silent_for = 100.0
        await until(lambda: len(primary.ends) == 2)
        await until(lambda: caught_up(replica, primary) and replica.follower.link.state == "streaming")


async def test_a_poisoned_replica_ends_its_follower(tmp_path: Path) -> None:
    """A failed store is not a link error to be retried."""
    primary, data = Primary(written(3), tmp_path / "p"), FakeData(FakeStore())
    replica = Replica(primary, data, tmp_path / "r")
    async with running(primary):
        await until(lambda: caught_up(replica, primary))
        assert data.store is not None
        data.store.failed = PoisonedError("a sync failed")
        data.store.notify()
        with pytest.raises(PoisonedError):
            await replica.task


async def test_one_node_id_is_live_once(tmp_path: Path) -> None:
    """A second process with a live node id is refused; the same process replaces its own session."""
    primary = Primary(written(3), tmp_path / "p")
    first = Replica(primary, FakeData(FakeStore()), tmp_path / "r1")
    async with running(primary):
        await until(lambda: caught_up(first, primary))
        second = Replica(primary, FakeData(FakeStore()), tmp_path / "r2", process=b"s" * 16)
        await until(lambda: second.follower.link.last_error)
        assert "another replica with the node id" in str(second.follower.link.last_error)
        await first.end()
        await until(lambda: caught_up(second, primary))
        stale = primary.ends[-1]
        again = Replica(primary, FakeData(FakeStore()), tmp_path / "r3", process=b"s" * 16)
        await until(lambda: stale.closed)
        await again.end()
        await second.end()


async def test_a_node_id_belongs_to_the_certificate_that_used_it_first(tmp_path: Path) -> None:
    """Another node that says the same id is refused, live or not, and after a restart; dropping the slot
    frees the id."""
    primary = Primary(written(3), tmp_path / "p")
    node, process = b"R" * 16, b"r" * 16

    async def answer(name: str, process: bytes, *names: str) -> Message:
        primary.shown = Certificate(frozenset(names or (name,)), frozenset(), 2e9)
        connection = await primary.dial()
        connection.send(Hello((1,), node, process, None, FEATURES, "", name))
        return await connection.receive()

    async with running(primary):
        primary.shown = Certificate(frozenset({"lyon"}), frozenset(), 2e9)
        lyon = Replica(
            primary, FakeData(FakeStore()), tmp_path / "r", node=node, process=process, name="lyon"
        )
        await until(lambda: caught_up(lyon, primary))
        session = primary.node.sessions[node]

        # Even with the process id of the live session, which it would replace.
        refusal = await answer("nantes", process)
        assert isinstance(refusal, Refuse) and refusal.code == "certificate" and not refusal.retry
        assert refusal.reason == (
            f"the node id {node.hex()} is that of lyon, and this certificate is for nantes: if lyon has "
            f"another name now, drop its slot here (replicad slot drop)"
        )
        assert primary.node.sessions[node] is session

        await lyon.end()
        await until(lambda: not primary.node.sessions)
        assert isinstance(await answer("nantes", b"n" * 16), Refuse)

        # What the node's state holds tells it to the next run.
        stored = [slot for slot in primary.records.slots.values() if slot.node_id == node]
        assert [slot.owner for slot in stored] == ["lyon"]
        assert Slots(stored, OPTIONS.slot_limits).hold(node, 0, 0, owner="nantes").owner == "lyon"

        # A certificate with both names renames it, and so does an operator who drops the slot.
        assert isinstance(await answer("nantes", b"m" * 16, "nantes", "lyon"), Welcome)
        await until(lambda: primary.node.sessions.get(node) is not None)
        primary.node.drop_slot(node)
        await until(lambda: not primary.node.sessions)
        assert isinstance(await answer("nantes", b"o" * 16), Welcome)


ME = Identity(b"P" * 16, b"p" * 16)


@pytest.mark.parametrize(
    ("hello", "code", "retry"),
    [
        (Hello((2, 3), b"R" * 16, b"r" * 16, None, (), ""), "version", False),
        (Hello((1,), b"P" * 16, b"p" * 16, None, (), ""), "self", False),
        (Hello((1,), b"P" * 16, b"q" * 16, None, (), ""), "same-node", False),
        (Hello((1,), b"L" * 16, b"x" * 16, None, (), ""), "node-live", True),
        (Hello((1,), b"R" * 16, b"r" * 16, None, (), "", "x" * 65), "name", False),
        (Hello((1,), b"R" * 16, b"r" * 16, None, (), "", "\N{GRINNING FACE}"), "name", False),
        (Hello((1,), b"R" * 16, b"r" * 16, None, (), "", "x\n"), "name", False),
    ],
)
def test_each_refusal_of_a_hello_has_its_code(hello: Hello, code: str, retry: bool) -> None:
    """Each reason to refuse a HELLO has its code, and says whether time can mend it."""
    refusal = check_hello(hello, ME, {b"L" * 16: b"l" * 16})
    assert refusal is not None
    assert (refusal.code, refusal.retry) == (code, retry)


@pytest.mark.parametrize(
    "messages",
    [
        [Ack(1, 1, 1)],
        [PositionClaim(None, 0, ())],
        [Hello((1,), b"R" * 16, b"r" * 16, None, (), ""), Ack(1, 1, 1)],
        [
            Hello((1,), b"R" * 16, b"r" * 16, None, (), ""),
            PositionClaim(None, 0, ()),
            PositionClaim(None, 0, ()),
        ],
    ],
)
async def test_messages_out_of_order_end_the_session(tmp_path: Path, messages: list[Message]) -> None:
    """The primary refuses what comes at the wrong time, and serves others on."""
    primary = Primary(written(3), tmp_path / "p")
    async with running(primary):
        connection = await primary.dial()
        for message in messages:
            connection.send(message)
        await until(lambda: primary.tasks[0].done())
        assert isinstance(primary.ends[0].sent[-1], Refuse)
        replica = Replica(primary, FakeData(FakeStore()), tmp_path / "r")
        await until(lambda: caught_up(replica, primary))
        await replica.end()
        await until(lambda: not primary.node.sessions)


async def test_a_wait_tells_who_has_it(tmp_path: Path) -> None:
    """It ends as soon as enough replicas hold the sequence number at the level, or at the timeout."""
    primary = Primary(written(1), tmp_path / "p")
    data = FakeData(FakeStore(auto_sync=False))
    replica = Replica(primary, data, tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: caught_up(replica, primary))
        waits = primary.node.waits
        name = (b"R" * 16).hex()[:12]
        assert await waits.wait("applied", 1, 1, 5.0) == [name]
        assert await waits.wait("durable", 1, 1, 0.02) == []
        waiting = asyncio.create_task(waits.wait("durable", 1, 1, 5.0))
        await asyncio.sleep(0)
        assert data.store is not None
        data.store.sync()
        assert await waiting == [name]
        assert await waits.wait("durable", 2, 1, 0.02) == [name]


async def test_an_unused_copy_expires(tmp_path: Path) -> None:
    """A copy that nobody reads is removed by the tick; one in use stays."""
    primary = Primary(written(3), tmp_path / "p")
    copy = primary.node.copies.make(b"R" * 16)
    copy.used_at -= 4000
    copy.in_use = True
    await primary.node.tick()
    assert copy.path.exists()
    copy.in_use = False
    await primary.node.tick()
    assert not copy.path.exists()
