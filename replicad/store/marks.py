"""Marks: what a verification puts into the log, and the snapshots that nodes take as they apply it.

    mark = version u8 (1), id 16 bytes, seconds u32          (`proto/batch.md`)

Every node that applies the mark sees the same data at its sequence number, however its tables are cut. The
snapshot is leased for the mark's `seconds` on this node's own clock; only the newest few marks hold one, so a
node that applies an old log with many marks keeps nothing for long. In memory only: a node that was started
again holds those marks that recovery read from the log, with a new lease.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from typing import NewType

from replicad.errors import InvalidArgument, NotFoundError
from replicad.store.holds.leases import Lease, Leases
from replicad.store.reading import Snapshot

MarkId = NewType("MarkId", bytes)
"""16 random bytes."""

ID_BYTES = 16
HELD_MAX = 16
"""Marks that hold a snapshot at one time; the oldest gives way."""
SECONDS_MAX = 24 * 3600

_MARK = struct.Struct("<B16sI")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """Names one verification, and says for how long a node may hold its snapshot."""

    id: MarkId
    seconds: int

    def __post_init__(self) -> None:
        if len(self.id) != ID_BYTES:
            raise InvalidArgument(f"the id of a mark has {ID_BYTES} bytes, not {len(self.id)}")
        if not 0 < self.seconds <= SECONDS_MAX:
            raise InvalidArgument(f"a mark is held for 1 to {SECONDS_MAX} seconds, not {self.seconds}")


def encode_mark(mark: Mark) -> bytes:
    return _MARK.pack(_VERSION, mark.id, mark.seconds)


def decode_mark(data: bytes) -> Mark | None:
    """None for what another version, or another program, put there: nodes pass it by."""
    if len(data) != _MARK.size or data[0] != _VERSION:
        return None
    _, id, seconds = _MARK.unpack(data)
    return Mark(MarkId(id), min(seconds, SECONDS_MAX)) if seconds else None


class Marks:
    """The snapshots held for marks; any thread."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._lock = threading.Lock()
        self._held: dict[MarkId, tuple[Snapshot, Lease]] = {}

    def hold(self, mark: Mark, snapshot: Snapshot) -> None:
        """Owns `snapshot` from now on. An older one of this mark, or the oldest of too many, is closed."""
        lease = self._leases.take(
            f"verification {mark.id.hex()}", mark.seconds, None, lambda: 0, snapshot.close
        )
        with self._lock:
            closed = [self._held.pop(mark.id, None)]
            self._held[mark.id] = snapshot, lease
            while len(self._held) > HELD_MAX:
                closed.append(self._held.pop(next(iter(self._held))))
        for entry in closed:
            if entry is not None:
                self._leases.end(entry[1], "the snapshot gave way to those of newer marks")

    def has(self, id: MarkId) -> bool:
        """Whether it was applied here and its snapshot not given up since."""
        with self._lock:
            entry = self._held.get(id)
        return entry is not None and entry[1].ended is None

    def snapshot(self, id: MarkId) -> Snapshot:
        """What the database held at the mark; the caller does not close it.

        Raises NotFoundError for a mark that was not applied here, or so long ago that it holds nothing any
        more, and ClosedError when its lease is over.
        """
        with self._lock:
            entry = self._held.get(id)
        if entry is None:
            raise NotFoundError(f"mark {id.hex()} holds no snapshot here")
        self._leases.check(entry[1])
        return entry[0]

    def close(self) -> None:
        """Lets go of all."""
        with self._lock:
            held, self._held = self._held, {}
        for _, lease in held.values():
            self._leases.end(lease, "the database was closed")

    def release(self, id: MarkId) -> None:
        """Does nothing for a mark that is not held."""
        with self._lock:
            entry = self._held.pop(id, None)
        if entry is not None:
            self._leases.end(entry[1], "the verification is over")
