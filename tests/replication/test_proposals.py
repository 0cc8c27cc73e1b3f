"""What a replica lets a primary do with its data, whatever that one says: it is played by hand here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from replicad.env import Env
from replicad.errors import ProtocolError
from replicad.replication.copy.fetch import receive_list
from replicad.replication.policy.agree import Code, History, Outcome, may_start_over
from replicad.replication.replica.follower import Follower
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.headers import FileEntry
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.messages import (
    Copy,
    Decided,
    Fetch,
    Files,
    Heartbeat,
    Hello,
    Message,
    PositionClaim,
    Welcome,
)
from replicad.types import Epoch, HistoryHash, Position, Sequence
from tests.support.replication.fake_nodes import OPTIONS, FakeData
from tests.support.replication.fake_store import FakeStore
from tests.support.replication.memory_connection import MemoryConnection, pair
from tests.support.waiting import until

DATABASE = b"d" * 16


def at(epoch: int, sequence: int) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(sequence))


class InTables(FakeData):
    """A replica whose tail reached its tables, so that no rewinding cuts it off."""

    async def rewind(self, fork: Position) -> bool:
        self.rewound.append(fork)
        return False


class Played:
    """A follower, and the other end of the connection that it opened last."""

    def __init__(self, data: FakeData, directory: Path) -> None:
        self.data = data
        self.ends: list[MemoryConnection] = []
        identity = Identity(b"R" * 16, b"r" * 16)
        self.follower = Follower(
            Env(), identity, data.as_data(), directory, self._dial, OPTIONS, lambda: None
        )
        self.task = asyncio.create_task(self.follower.run())

    async def _dial(self) -> Connection:
        theirs, ours = pair()
        self.ends.append(ours)
        return theirs

    async def next(self, session: int) -> Message:
        await until(lambda: len(self.ends) > session)
        while isinstance(message := await asyncio.wait_for(self.ends[session].receive(), 5), Heartbeat):
            pass
        return message

    async def decide(self, session: int, decided: Decided, database: bytes = DATABASE) -> PositionClaim:
        """Welcomes the replica, hears its claim, and tells it this; the claim."""
        assert isinstance(await self.next(session), Hello)
        self.ends[session].send(Welcome(1, b"P" * 16, b"p" * 16, database, (), "", 20, decided.position, ()))
        claim = await self.next(session)
        assert isinstance(claim, PositionClaim)
        self.ends[session].send(decided)
        return claim

    async def is_refused(self, words: str) -> None:
        await until(lambda: words in str(self.follower.link.last_error))
        assert self.follower.link.state == "stopped"
        assert self.data.installed == []


@contextlib.asynccontextmanager
async def playing(data: FakeData, directory: Path) -> AsyncIterator[Played]:
    played = Played(data, directory)
    try:
        yield played
    finally:
        played.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await played.task


def bootstrap(position: Position, code: Code = Code.LOG_GONE) -> Decided:
    return Decided(Outcome.BOOTSTRAP.value, code.value, "take this", position, None)


@pytest.mark.parametrize(
    ("decided", "database", "words"),
    [
        (bootstrap(at(1, 4)), DATABASE, "the replica is at 1:5"),
        (bootstrap(at(1, 0)), DATABASE, "the replica is at 1:5"),
        (bootstrap(at(1, 9), Code.EMPTY_REPLICA), DATABASE, "is not a reason to replace it"),
        (bootstrap(at(1, 9)), b"x" * 16, "of another database"),
    ],
)
async def test_a_copy_that_must_not_replace_its_data_is_refused(
    tmp_path: Path, decided: Decided, database: bytes, words: str
) -> None:
    """An older or empty copy, another database's, or one without a reason: the replica stops and says why."""
    data = FakeData(FakeStore(position=at(1, 5)))
    async with playing(data, tmp_path) as played:
        await played.decide(0, decided, database)
        await played.is_refused(words)


async def test_a_replica_starts_over_for_a_later_epoch_only(tmp_path: Path) -> None:
    """What it tells nothing of its data for is a copy of a newer history: one of its own epoch it refuses."""
    data = InTables(FakeStore(position=at(1, 5)))
    async with playing(data, tmp_path) as played:
        rewind = Decided(Outcome.REWIND.value, Code.BEYOND_FORK.value, "", at(2, 9), at(1, 3))
        assert (await played.decide(0, rewind)).position == at(1, 5)
        await until(lambda: data.rewound == [at(1, 3)])
        assert (await played.decide(1, bootstrap(at(1, 9), Code.EMPTY_REPLICA))).position is None
        await played.is_refused("not of one after 1")


def test_who_may_start_over() -> None:
    """A copy of the same database in a later epoch than the tail that was saved."""
    replica = History(DATABASE, at(2, 5))
    assert may_start_over(replica, History(DATABASE, at(3, 1))) is None
    for position in (at(2, 9), at(1, 9)):
        assert "not of one after 2" in str(may_start_over(replica, History(DATABASE, position)))
    assert "another database" in str(may_start_over(replica, History(b"x" * 16, at(3, 9))))


async def test_a_database_that_is_not_its_own_is_not_streamed_to_it(tmp_path: Path) -> None:
    """A primary may not say that the histories agree where the databases do not."""
    stream = Decided(Outcome.STREAM.value, Code.SAME_HISTORY.value, "", at(1, 9), None)
    async with playing(FakeData(FakeStore(position=at(1, 5))), tmp_path) as played:
        await played.decide(0, stream, b"x" * 16)
        await until(lambda: "streams another database" in str(played.follower.link.last_error))


ENTRY = FileEntry("000001.sst", 10, b"s" * 32)
SECOND = FileEntry("000002.sst", 10, b"s" * 32)


@pytest.mark.parametrize(
    "messages",
    [
        [Copy(b"c" * 16, at(1, 1), 1_000_001, 10)],
        [Copy(b"c" * 16, at(1, 1), 2, 20), Files(0, (ENTRY,)), Files(0, (ENTRY,))],
        [Copy(b"c" * 16, at(1, 1), 2, 20), Files(0, (ENTRY,)), Files(1, ())],
        [Copy(b"c" * 16, at(1, 1), 1, 20), Files(0, (ENTRY, SECOND))],
        [Copy(b"c" * 16, at(1, 1), 1, 20), Fetch(0, 0)],
    ],
)
async def test_a_list_that_does_not_go_on_or_never_ends_is_refused(messages: list[Message]) -> None:
    """Too many files, a part twice, an empty one, more than was announced, and what is no list."""
    primary, replica = pair()
    for message in messages:
        primary.send(message)
    with pytest.raises(ProtocolError):
        await asyncio.wait_for(receive_list(replica), 5)
