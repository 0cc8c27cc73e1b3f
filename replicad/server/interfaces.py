"""What the server asks of the layers around it.

`Store` is the part of `replicad.store`'s Database that serving clients takes. `Node` is what only the daemon
knows: the role, the link to the primary, the replicas. The daemon hands both to `RespServer`, so that nothing
here imports a daemon or replication.

Except where a method says otherwise, everything is called on the event loop's thread and must not block it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from replicad.errors import CorruptionError, ReplicadError
from replicad.options import Options
from replicad.store.marks import Mark, Marks
from replicad.types import EpochRecord, Position


class Batch(Protocol):
    """Operations that commit together; the store's WriteBatch."""

    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def put(self, key: bytes, value: bytes, /, family: int = 0) -> Any: ...
    def delete(self, key: bytes, /, family: int = 0) -> Any: ...
    def put_log_data(self, data: bytes, /) -> Any: ...


Put = tuple[bytes, bytes]
"""A batch that is one put of (key, value) in the default family."""
Pair = tuple[bytes, bytes]
Name = bytes | tuple[int, bytes]
"""A key among all families: the key itself in the default one, else (family, key)."""


class Walkable(Protocol):
    """One state of the data, whose pairs can be walked over in key order."""

    def get(self, key: bytes, /, *, family: int = 0) -> bytes | None: ...
    def contains(self, key: bytes, /, *, family: int = 0) -> bool: ...
    def multi_get(self, keys: list[bytes], /, *, family: int = 0) -> list[bytes | None]: ...
    def scan(
        self,
        start: bytes | None = None,
        end: bytes | None = None,
        *,
        prefix: bytes | None = None,
        family: int = 0,
    ) -> Iterator[Pair]: ...


class Reader(Walkable, Protocol):
    """One of the store: `Store.newest`, or a snapshot."""

    def part(self, key: bytes, first: int, last: int, /, *, family: int = 0) -> tuple[int, bytes]: ...
    def sequence_of(self, key: bytes, /, *, family: int = 0) -> int: ...


class Snapshot(Reader, Protocol):
    """A state that stays readable, from any thread, until it is closed."""

    @property
    def sequence(self) -> int: ...
    def close(self) -> None: ...


class Checkpoint(Protocol):
    """A copy that was made; `position` is where it opens."""

    @property
    def position(self) -> Position: ...


class Update(Protocol):
    """One batch of the log; `position` is the one after it."""

    @property
    def position(self) -> Position: ...
    @property
    def first_sequence(self) -> int: ...
    @property
    def commit_time(self) -> int: ...
    @property
    def batch(self) -> Any: ...


class Updates(Iterator[Update], Protocol):
    """Ends where the durable log ends."""

    def close(self) -> None: ...


class Store(Protocol):
    @property
    def options(self) -> Options: ...
    @property
    def newest(self) -> Reader: ...
    @property
    def database_id(self) -> bytes: ...
    @property
    def latest_sequence(self) -> int: ...
    @property
    def appended_sequence(self) -> int: ...
    @property
    def durable_sequence(self) -> int: ...
    @property
    def position(self) -> Position: ...
    @property
    def durable_position(self) -> Position: ...
    @property
    def visible_position(self) -> Position:
        """What readers see is not after it."""
        ...

    @property
    def stalled(self) -> object:
        """True, or a reason, while writes should wait or are refused."""
        ...

    @property
    def refused(self) -> str | None:
        """Why writes are refused for want of room on the disk; None while they are not."""
        ...

    @property
    def failed(self) -> BaseException | None: ...

    @property
    def epochs(self) -> tuple[EpochRecord, ...]: ...

    @property
    def families(self) -> dict[str, int]:
        """Id by name, those of the newest write."""
        ...

    def get(self, key: bytes, /, *, family: int = 0) -> bytes | None: ...
    def contains(self, key: bytes, /, *, family: int = 0) -> bool: ...
    def part(self, key: bytes, first: int, last: int, /, *, family: int = 0) -> tuple[int, bytes]: ...
    def multi_get(self, keys: list[bytes], /, *, family: int = 0) -> list[bytes | None]: ...
    def submit_create_family(self, name: str, /) -> tuple[int, int]:
        """(id, sequence number)."""
        ...

    def submit_drop_family(self, family: int, /) -> int: ...
    @property
    def marks(self) -> Marks: ...
    def submit_mark(self, mark: Mark, /) -> int: ...
    def hold_snapshot(self, mark: Mark, /) -> int: ...
    def snapshot(self) -> Snapshot: ...
    def submit_many(self, items: Sequence[Any], /) -> int:
        """Appends batches and single puts, each as a frame of its own, with one write.

        All of them or, when it raises, none. Returns the last sequence number.
        """
        ...

    def subscribe(self, callback: Callable[[], None], /) -> Callable[[], None]: ...

    # From here on: called in a thread, may block.
    def position_at(self, sequence: int, /) -> Position | None: ...
    def get_updates_since(self, sequence: int, /) -> Updates: ...
    def sequence_at_time(self, commit_time_us: int, /) -> int: ...
    def digest(self, snapshot: Any = None, /) -> tuple[int, str]: ...
    def create_checkpoint(self, path: Path, /) -> Checkpoint: ...
    def stats(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """One replica as its primary sees it. `acknowledged_sequence` is what the replica said is durable
    there.
    """

    node_id: str
    host: str
    port: int
    """Where it serves clients; 0 when it did not say."""
    state: str
    acknowledged_sequence: int
    lag_seconds: int = 0
    """Since it acknowledged something last, or had nothing to acknowledge."""


class Waits(Protocol):
    """Who waits for acknowledgements of replicas."""

    timeout_seconds: float
    """How long a write waits for the replicas that the configuration asks for."""

    def holders(self, level: str, sequence: int, /) -> list[str]:
        """The connected replicas that have it, by name."""
        ...

    def describe(self) -> str:
        """Which replicas all writes wait for, at which level; "" for none."""
        ...

    def released(self, visible: int, /) -> int:
        """The newest sequence number whose writes may be answered: `visible`, or less."""
        ...

    def lacking(self, sequence: int, /) -> str:
        """Which replicas hold it and what was asked for, in words."""
        ...

    def subscribe(self, listener: Callable[[], None], /) -> Callable[[], None]:
        """Calls back, on the loop, after `released` may have moved; returns how to end that."""
        ...

    async def wait(
        self, level: str, count: int, sequence: int, timeout_seconds: float | None, /
    ) -> Sequence[str]:
        """Waits until so many replicas have it at that level ("received", "applied", "durable"), or the time
        is over; the names of those that have it then."""
        ...


class RoleRefused(ReplicadError):
    """A role stays what it is; the message says why and what to do."""


class Node(Protocol):
    """The node that this server answers for."""

    @property
    def role(self) -> Literal["primary", "replica"]: ...

    @property
    def is_writable(self) -> bool:
        """False on a replica, and on a primary that was fenced."""
        ...

    def holds_writes(self) -> bool:
        """Writes wait: the role is about to change, or the node does not know whether it is still primary."""
        ...

    def holds_answers(self) -> bool:
        """What is written may not be acknowledged now; looked at before every acknowledgement."""
        ...

    @property
    def primary_address(self) -> tuple[str, int] | None:
        """On a replica, where clients find its primary, or where it follows when that is not known."""
        ...

    async def promote(self, *, force: bool) -> str:
        """Makes a replica the primary; what was lost by that, in words, or "". Raises RoleRefused."""
        ...

    async def follow(self, host: str, port: int) -> None:
        """Makes the node a replica of the one at that replication or client address. Raises RoleRefused."""
        ...

    async def rejoin(self, host: str | None, port: int) -> str:
        """Saves what a replica has and the node there (None: the one that it follows) may lack, and has it
        fetch all data from there; what was saved, in words. Raises RoleRefused."""
        ...

    async def switch_over(self, target: str | None, *, timeout_seconds: float | None) -> str:
        """Hands the primary's role to `target` (node id or address; None: any replica), without loss.

        Returns the new primary's client address. Raises RoleRefused; then everything is as before.
        """
        ...

    def cancel_switchover(self) -> bool:
        """Whether one was under way that could still be given up."""
        ...

    @property
    def link_state(self) -> str:
        """On a replica, as ROLE names it: "connect", "connecting", "sync" (bootstrap) or "connected"."""
        ...

    def replicas(self) -> list[ReplicaView]: ...

    @property
    def copy_bytes_per_second(self) -> int:
        """What the copies that this node sends may take together; 0 is no limit."""
        ...

    def throttle_copies(self, bytes_per_second: int) -> None:
        """Counts at once, also for copies that are under way."""
        ...

    def drop_slot(self, node_id: bytes) -> bool:
        """Lets go of the log that is kept for a replica, and forgets it; whether there was anything of it."""
        ...

    @property
    def waits(self) -> Waits:
        """Acknowledgements of this node's replicas."""
        ...

    @property
    def stale_because(self) -> str | None:
        """Why a replica's data is known to be older than it should be, whether reads are refused or not."""
        ...

    @property
    def reads_refused(self) -> str | None:
        """The error, with its code, that reads get while this node's data is too old to be shown."""
        ...

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, Any]:
        """Makes a backup, at the configured target by default; what it is, ready for JSON.

        One at a time; cancelling it stops it.
        """
        ...

    def stop_backup(self) -> bool:
        """Whether there was one to stop."""
        ...

    def found_corruption(self, error: CorruptionError) -> None:
        """A read met bytes that are not what was written."""
        ...

    def order_repair(self, reason: str) -> None:
        """Has the node fetch its data again; raises InvalidArgument where that makes no sense."""
        ...

    def status(self) -> dict[str, Any]:
        """The node's status document, ready for JSON."""
        ...
