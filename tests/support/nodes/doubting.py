"""A primary and one other node, as far as a survey and a pause detector see them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.pause_detector import PauseDetector
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.net.addresses import Address
from replicad.replication.options import RoleOptions
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.messages import StandingMessage
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


class Store:
    """A store as far as a claim of a higher epoch is compared with it."""

    database_id, epochs, durable_position = DATABASE, (), position(1)

    def position_at(self, sequence: int) -> Position | None:
        return position(1) if sequence == 7 else None


class Primary:
    """The detector and the survey of a primary; everything else is as much of a node as they ask for."""

    def __init__(self, *, answers: bool = True) -> None:
        """One that does not answer yet opens its data."""
        self.clock, self.peers, self.standing = ManualClock(), Peers(), OwnStanding()
        self.standing.begin_as(Standing.PRIMARY)
        self.where: tuple[str, str] | None = None
        self.confirming: asyncio.Task[Any] | None = None
        store = OpenStore()
        store.database = cast(Any, Store())
        self.survey = PeerSurvey(
            Identity(b"A" * 16, b"a" * 16),
            OPTIONS,
            durability="sync",
            standing=self.standing,
            store=store,
            memory=cast(Any, SimpleNamespace(fenced_by=None)),
            peers=cast(Any, self.peers),
            link=cast(Any, SimpleNamespace(is_linked=False)),
            addresses=cast(Any, SimpleNamespace(replication="127.0.0.1:6001")),
            fence=self.fence,
            turn_to=lambda address, clients: None,
        )
        self.pauses = PauseDetector(
            self.clock,
            OPTIONS,
            standing=self.standing,
            peers=cast(Any, self.peers),
            survey=self.survey,
            tasks=cast(Any, self),
            go_on=self.go_on,
        )
        if answers:
            self.pauses.begin()

    async def go_on(self) -> None:
        self.standing.move(Standing.PRIMARY)

    def spawn(self, job: Any) -> None:
        assert self.confirming is None
        self.confirming = asyncio.ensure_future(job)

    def fence(self, epoch: int, where: tuple[str, str]) -> None:
        self.standing.move(Standing.FENCED)
        self.where = where

    def stand_still(self) -> None:
        self.clock.now += 2 * OPTIONS.stood_still_seconds
