"""What replication asks of the parts above it and next to it, as narrow Protocols; `daemon/` wires them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from replicad.replication.intake import LogIntake
from replicad.replication.policy.agree import History
from replicad.replication.wire.connection import Connection
from replicad.state.records import BootstrapProgress, Slot
from replicad.store.copies.checkpoint import CopyFile
from replicad.store.database import Database
from replicad.types import EpochRecord, Position


class LogArchive(Protocol):
    """Log that was archived apart from the nodes. It blocks, and may raise any error of its storage."""

    def frames_after(
        self, database_id: bytes, epochs: Sequence[EpochRecord], start: Position, goal: int, /
    ) -> Generator[bytes, None, None]:
        """Whole frames, those of one epoch at a time, after `start` and through `goal` at most, as far as
        there are any without a gap. `epochs` are the primary's."""
        ...


class BackupSource(Protocol):
    """Backups of this database that a replica without data may begin with."""

    async def restore(
        self, primary: History, on_progress: Callable[[BootstrapProgress], None], /
    ) -> Path | None:
        """Makes a directory out of the newest backup that the primary's history goes on from, and the
        archived log after it, to be installed; None, and an event that says why, when there is none. Raises
        BackupRefusedError when a person must decide. Cancelling it ends its work before it returns."""
        ...


class SentAhead(Protocol):
    """Whether replicas get log that a loss of power could still take from this node."""

    @property
    def is_allowed(self) -> bool: ...

    async def allow(self) -> None:
        """Allows it from the return on, where this node is to send such log at all."""
        ...


class DurableOnly:
    """They do not."""

    is_allowed = False

    async def allow(self) -> None:
        pass


ListFiles = Callable[[Path], Sequence[CopyFile]]


class ReplicaData(Protocol):
    """The replica's data directory, whose database a bootstrap replaces."""

    @property
    def store(self) -> Database | None:
        """None while there is no data, and while it is exchanged."""
        ...

    @property
    def intake(self) -> LogIntake | None:
        """Where log is put that is received; None without a store."""
        ...

    @property
    def held_because(self) -> str | None:
        """Why no copy may replace the data at the moment, or None."""
        ...

    async def resume(self) -> None:
        """Serves the data that is here if an exchange of it left it closed: there is a store afterwards, or
        there is no data. Raises what opening it does."""
        ...

    def local_files(self) -> Mapping[bytes, Path]:
        """Immutable files that are here already, by SHA-256. Called in a thread."""
        ...

    async def rewind(self, fork: Position) -> bool:
        """Saves the batches after `fork` and cuts them off; False when they are saved, but in tables already,
        so that a copy must replace the data. Raises DivergedError when this history did not go through it."""
        ...

    async def install(self, staging: Path) -> None:
        """Swaps the verified, durable copy in `staging` in, atomically, and serves it."""
        ...


class Records(Protocol):
    """The node's state, written off the event loop; each call returns when it is durable."""

    def put_slot(self, slot: Slot) -> Awaitable[None]: ...
    def remove_slot(self, node_id: bytes) -> Awaitable[None]: ...
    def show_bootstrap(self, progress: BootstrapProgress | None) -> Awaitable[None]: ...


Dial = Callable[[], Awaitable[Connection]]
