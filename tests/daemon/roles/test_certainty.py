"""What a primary believes of others; nothing, above all, that it heard before it stood still."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from replicad.daemon.addresses import Address
from replicad.daemon.roles.certainty import Certainty
from replicad.replication.options import RoleOptions
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import StandingMessage as StandingMessage
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence
from tests.support.manual_clock import ManualClock

DATABASE = b"d" * 16
OPTIONS = RoleOptions(stood_still_seconds=1.0, ask_seconds=60.0)


def position(epoch: int) -> Position:
    return Position(Epoch(epoch), Sequence(7), HistoryHash(7))


def told(epoch: int, standing: Standing, primary: str = "") -> StandingMessage:
    """What the other node says of itself."""
    return StandingMessage(
        node=b"B" * 16,
        process=b"b" * 16,
        standing=standing.value,
        database=DATABASE,
        position=position(epoch),
        epochs=() if epoch == 1 else (EpochRecord(Epoch(epoch), b"e" * 16, position(1)),),
        replication="127.0.0.1:7001",
        clients="127.0.0.1:7002",
        primary=primary,
        primary_clients="",
        path=(),
    )


class Peers:
    """One other node; each round of questions ends when the test answers it."""

    def __init__(self) -> None:
        self.rounds: asyncio.Queue[asyncio.Future[list[StandingMessage]]] = asyncio.Queue()

    def __len__(self) -> int:
        return 1

    def addresses(self) -> set[Address]:
        return {Address("127.0.0.1", 7001)}

    def remember(self, node_id: bytes, replication: str, clients: str) -> None:
        pass

    async def ask_all(self, addresses: set[Address], seconds: float) -> list[StandingMessage]:
        answers: asyncio.Future[list[StandingMessage]] = asyncio.get_running_loop().create_future()
        self.rounds.put_nowait(answers)
        return await answers


class Primary:
    """As much of a node as certainty asks for."""

    def __init__(self) -> None:
        self.standing = Standing.PRIMARY
        self.env = self.identity = self.config = self.memory = self.link = self.store = self.roles = self
        self.clock, self.peers = ManualClock(), Peers()
        self.node, self.database_id, self.epochs = b"A" * 16, DATABASE, ()
        self.durable_position = position(1)
        self.durability = "sync"
        self.fenced_by, self.is_linked = None, False
        self.listening = {"replication": "127.0.0.1:6001"}
        self.where: tuple[str, str] | None = None
        self.finding: asyncio.Task[Any] | None = None
        self.stood_still_seconds, self.ask_seconds = OPTIONS.stood_still_seconds, OPTIONS.ask_seconds
        self.meet_seconds, self.when_alone = OPTIONS.meet_seconds, OPTIONS.when_alone
        self.certainty = Certainty(cast(Any, self))

    def spawn(self, job: Any) -> None:
        assert self.finding is None
        self.finding = asyncio.ensure_future(job)

    def doubt(self) -> None:
        self.standing = Standing.DOUBTING

    def move(self, standing: Standing) -> None:
        self.standing = standing

    def fence(self, epoch: int, where: tuple[str, str]) -> None:
        self.standing, self.where = Standing.FENCED, where

    def position_at(self, sequence: int) -> Position | None:
        return position(1) if sequence == 7 else None

    def stand_still(self) -> None:
        self.clock.now += 2 * OPTIONS.stood_still_seconds


async def doubting() -> tuple[Primary, asyncio.Future[list[StandingMessage]]]:
    """A primary that stood still once, and the round of questions that it waits for."""
    primary = Primary()
    primary.stand_still()
    primary.certainty.beat()
    assert primary.standing is Standing.DOUBTING
    return primary, await primary.peers.rounds.get()


async def ended(primary: Primary) -> None:
    assert primary.finding is not None
    async with asyncio.timeout(5):
        await primary.finding


async def test_an_answer_ends_the_doubt() -> None:
    """Somebody of this epoch answers: the node goes on as the primary."""
    primary, answers = await doubting()
    answers.set_result([told(1, Standing.FOLLOWING)])
    await ended(primary)
    assert primary.standing is Standing.PRIMARY


async def test_an_answer_from_before_the_newest_standstill_is_not_believed() -> None:
    """The node stands still again while it waits, and finds that out by itself when it has the answers: it
    asks again, and hears of the primary that began meanwhile."""
    primary, answers = await doubting()
    primary.stand_still()
    answers.set_result([told(1, Standing.FOLLOWING)])
    async with asyncio.timeout(5):
        again = await primary.peers.rounds.get()
    assert primary.standing is Standing.DOUBTING
    again.set_result([told(2, Standing.PRIMARY)])
    await ended(primary)
    assert primary.standing is Standing.FENCED


async def test_a_standstill_that_somebody_else_noticed_counts_as_well() -> None:
    """A client's write has the node look at its clock before the answers are looked at."""
    primary, answers = await doubting()
    primary.stand_still()
    primary.certainty.beat()
    answers.set_result([told(1, Standing.FOLLOWING)])
    async with asyncio.timeout(5):
        again = await primary.peers.rounds.get()
    again.set_result([told(1, Standing.FOLLOWING)])
    await ended(primary)
    assert primary.standing is Standing.PRIMARY


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (told(2, Standing.PRIMARY), ("127.0.0.1:7001", "127.0.0.1:7002")),
        (told(2, Standing.FOLLOWING, "127.0.0.1:8001"), ("127.0.0.1:8001", "")),
        (told(2, Standing.PROMOTING, "127.0.0.1:6001"), ("", "")),
    ],
)
async def test_whom_a_fenced_node_is_sent_to(answer: StandingMessage, where: tuple[str, str]) -> None:
    """To the primary of the higher epoch, to whom its replica follows, and never to itself: a replica that is
    being promoted still names whom it followed."""
    primary = Primary()
    primary.certainty.heard(answer)
    assert primary.standing is Standing.FENCED
    assert primary.where == where
