"""What replication asks of the parts beside and below it, as narrow Protocols; `daemon/` wires them.

The database satisfies `LogSource` and `ReplicaStore`; tests give fakes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from replicad.replication.policy.slot_states import LogFile
from replicad.replication.wire.connection import Connection
from replicad.state.records import BootstrapProgress, Slot
from replicad.types import EpochRecord, Position


class LogChunk(Protocol):
    """Whole frames, byte for byte as they are in the log."""

    @property
    def frames(self) -> bytes: ...
    @property
    def first_sequence(self) -> int: ...
    @property
    def last_sequence(self) -> int: ...
    @property
    def batches(self) -> int: ...


class LogCursor(Protocol):
    def next(self, bytes_max: int, /) -> LogChunk | None:
        """The next durable frames, at least one even if it is longer than `bytes_max`; None when there are
        none yet. Raises LogGoneError when they are gone."""
        ...

    def close(self) -> None: ...


class Store(Protocol):
    """What both sides need to know of a database."""

    @property
    def database_id(self) -> bytes: ...
    @property
    def epochs(self) -> tuple[EpochRecord, ...]: ...
    @property
    def position(self) -> Position: ...
    @property
    def durable_position(self) -> Position: ...
    @property
    def durable_sequence(self) -> int: ...
    @property
    def latest_sequence(self) -> int:
        """What readers see."""
        ...

    @property
    def failed(self) -> BaseException | None: ...

    def subscribe(self, callback: Callable[[], None], /) -> Callable[[], None]:
        """Calls back from any thread after a position, the stall or the failure moved."""
        ...


class LogSource(Store, Protocol):
    """A primary's database."""

    @property
    def oldest_log_sequence(self) -> int: ...

    def position_at(self, sequence: int, /) -> Position | None: ...
    def read_log(self, start: int, /) -> LogCursor: ...
    def create_base_copy(self, path: Path, /) -> Position: ...
    def get_sorted_wal_files(self) -> Sequence[LogFile]: ...
    @property
    def flushed_sequence(self) -> int:
        """Tables hold everything up to it."""
        ...

    @property
    def log_kept_bytes(self) -> int:
        """How much log stays whoever needs it."""
        ...

    @property
    def log_room_bytes(self) -> int:
        """How much more log the disk takes before its floor; negative below it."""
        ...

    def review_retention(self) -> None:
        """Somebody who held log needs less of it: what nobody needs may go, in the background."""
        ...


class ReplicaStore(Store, Protocol):
    """A replica's database."""

    @property
    def stalled(self) -> str | None: ...

    def apply_frames(self, frames: bytes, /) -> Position: ...


class LogArchive(Protocol):
    """Log that was archived apart from the nodes. It blocks, and may raise whatever its storage does."""

    def frames_after(
        self, database_id: bytes, epochs: Sequence[EpochRecord], start: Position, goal: int, /
    ) -> Generator[bytes, None, None]:
        """Whole frames, those of one epoch at a time, after `start` and through `goal` at most, as far as
        there are any without a gap. `epochs` are the primary's."""
        ...


class CopyFile(Protocol):
    """A file of a checkpoint: its name within it, and its identity."""

    @property
    def name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> bytes: ...


ListFiles = Callable[[Path], Sequence[CopyFile]]


class ReplicaData(Protocol):
    """The replica's data directory, whose database a bootstrap replaces."""

    @property
    def store(self) -> ReplicaStore | None:
        """None while there is no data, and while it is exchanged."""
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
