"""A primary and replicas made of fakes: whole sessions over connections in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from replicad.env import Env
from replicad.net.certificates import Certificate
from replicad.replication.intake import DirectIntake
from replicad.replication.options import ReplicationOptions
from replicad.replication.ports import LogArchive, ReplicaData
from replicad.replication.primary.node import PrimaryNode
from replicad.replication.primary.slots import Slots
from replicad.replication.replica.follower import Follower
from replicad.replication.replica.restoring import RestoreFirst
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.identify import Identity
from replicad.state.records import BootstrapProgress, Slot
from replicad.types import Position
from tests.support.replication.fake_store import FakeStore, list_files
from tests.support.replication.memory_connection import MemoryConnection, pair

OPTIONS = ReplicationOptions(
    heartbeat_seconds=0.02,
    idle_seconds=1.0,
    backoff_seconds_min=0.005,
    backoff_seconds_max=0.02,
    stopped_retry_seconds=0.02,
    file_chunk_bytes=4096,
    copy_window_bytes=8192,
    free_bytes_min=0,
)


@dataclass
class FakeRecords:
    slots: dict[bytes, Slot] = field(default_factory=dict)

    async def put_slot(self, slot: Slot) -> None:
        self.slots[slot.node_id] = slot

    async def remove_slot(self, node_id: bytes) -> None:
        self.slots.pop(node_id, None)

    async def show_bootstrap(self, progress: BootstrapProgress | None) -> None:
        pass


@dataclass
class FakeData:
    """A replica's directory; `installed` lists what was swapped in."""

    store: FakeStore | None = None
    local: dict[bytes, Path] = field(default_factory=dict)
    installed: list[list[str]] = field(default_factory=list)
    rewound: list[Position] = field(default_factory=list)

    def as_data(self) -> ReplicaData:
        """For a follower, which serves what stands here as its database."""
        return cast(ReplicaData, self)

    @property
    def intake(self) -> DirectIntake | None:
        return None if self.store is None else DirectIntake(self.store.as_database())

    held_because: str | None = None

    def local_files(self) -> Mapping[bytes, Path]:
        return self.local

    async def resume(self) -> None:
        pass

    async def rewind(self, fork: Position) -> bool:
        self.rewound.append(fork)
        assert self.store is not None
        return self.store.cut_back(fork)

    async def install(self, staging: Path) -> None:
        self.installed.append(sorted(path.name for path in staging.iterdir()))
        self.store = FakeStore.opened(staging)


@dataclass
class FakeAhead:
    """Whether a fake primary sends log that is not durable, and what it was asked."""

    may_be_allowed: bool = False
    is_allowed: bool = False
    asked: int = 0

    async def allow(self) -> None:
        self.asked += 1
        self.is_allowed = self.may_be_allowed


class Primary:
    def __init__(self, store: FakeStore, data_dir: Path, options: ReplicationOptions = OPTIONS) -> None:
        self.ahead = FakeAhead()
        self.store, self.data_dir = store, data_dir
        self.identity = Identity(b"P" * 16, b"p" * 16)
        self.records = FakeRecords()
        self.higher_epochs: list[int] = []
        self.age_seconds: float | None = 0.0
        self.node = PrimaryNode(
            Env(),
            self.identity,
            store.as_database(),
            Slots([], options.slot_limits),
            self.records,
            data_dir,
            list_files,
            options,
            on_higher_epoch=self.higher_epochs.append,
            age_seconds=lambda written: self.age_seconds,
            ahead=self.ahead,
        )
        self.node.copies.load()
        self.tasks: list[asyncio.Task[None]] = []
        self.ends: list[MemoryConnection] = []
        self.shown: Certificate | None = None
        """The certificate that the next ones to connect show."""
        self.up = True

    async def dial(self) -> Connection:
        if not self.up:
            raise ConnectionRefusedError("nothing listens")
        theirs, ours = pair()
        ours.certificate = self.shown
        self.ends.append(ours)
        self.tasks.append(asyncio.create_task(self.node.serve(ours)))
        return theirs

    def cut(self) -> None:
        """Breaks every connection."""
        for end in self.ends:
            end.close()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


class Replica:
    def __init__(
        self,
        primary: Primary,
        data: FakeData,
        data_dir: Path,
        *,
        node: bytes = b"R" * 16,
        process: bytes = b"r" * 16,
        name: str = "",
        archive: LogArchive | None = None,
        restore: RestoreFirst | None = None,
        options: ReplicationOptions = OPTIONS,
    ) -> None:
        self.data = data
        self.states: list[str] = []
        self.follower = Follower(
            Env(),
            Identity(node, process, name),
            data.as_data(),
            data_dir,
            primary.dial,
            options,
            lambda: self.states.append(self.follower.link.state),
            archive=archive,
            restore=restore,
        )
        self.task = asyncio.create_task(self.follower.run())

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def running(*nodes: Primary | Replica) -> AsyncIterator[None]:
    """Ends the nodes, in the order given, whatever happens."""
    try:
        yield
    finally:
        for node in nodes:
            await node.end()
