"""Group commit as the server sees it: the writes of one tick of the loop go to the store together.

    connection --put--> WriteGroup --submit_many, once a tick--> store
        ^                                                          |
        +------ replies, when their sequence number is visible ----+

Every write command (and every EXEC) is a batch of its own. Until the group goes to the store, its effects
are in `overlay`, so a command that follows a write sees it without ending the group early.

The loop's thread owns everything here.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING

import structlog

from replicad.errors import DiskFullError, PoisonedError, ReplicadError
from replicad.server import replies
from replicad.server.interfaces import Name, Put, Reader
from replicad.server.watches import Watches
from replicad.store.batch import WriteBatch
from replicad.store.database import Database

if TYPE_CHECKING:
    from replicad.server.session import ClientState

log = structlog.get_logger()

PENDING = 1 << 64
"""Above every sequence number: the group is not in the log yet."""
_BATCH_BYTES = 256  # what Python adds to each


class HeldReplies:
    """A run of one connection's replies that are sent when `sequence` is visible.

    `dependent` are the indices of the replies that are untrue unless the group commits: those of its
    writes, and of reads that saw them. `last_batch` is the index of the connection's last batch in the
    group; `since` is when it was opened. One that does not wait `for_replicas` waits for the store only.
    """

    __slots__ = ("connection", "dependent", "for_replicas", "last_batch", "replies", "sequence", "since")

    def __init__(self, connection: ClientState, sequence: int, since: float, for_replicas: bool) -> None:
        self.since = since
        self.for_replicas = for_replicas
        self.connection = connection
        self.sequence = sequence
        self.replies: list[bytes] = []
        self.dependent: list[int] = []
        self.last_batch = -1

    def fail(self, reply: bytes) -> None:
        """What depends on its writes is answered so, at once."""
        for index in self.dependent:
            # A command without a reply yet goes on in pieces, and says by itself what became of it.
            if index < len(self.replies):
                self.replies[index] = reply
        self.sequence = 0


class WriteGroup:
    """The batches of this tick, and the segments whose replies wait for them."""

    def __init__(self, store: Database, watches: Watches, schedule: Callable[[], None]) -> None:
        self.overlay: dict[Name, bytes | None] = {}
        self.batches: list[WriteBatch | Put] = []
        self.segments: list[HeldReplies] = []
        self.refusals = 0
        """How many groups were not written."""
        self._weighed = 0
        self._weight = 0
        self._store = store
        self._watches = watches
        self._schedule = schedule
        self._scheduled = False

    def add(self, segment: HeldReplies, batch: WriteBatch | Put) -> None:
        """`segment` must be one of this group's; the next reply appended to it answers `batch`."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule()
        segment.dependent.append(len(segment.replies))
        segment.last_batch = len(self.batches)
        self.batches.append(batch)

    def weigh(self) -> int:
        """The bytes that its batches take, about; each is looked at once, and only when somebody asks."""
        for batch in self.batches[self._weighed :]:
            size = len(batch[0]) + len(batch[1]) if isinstance(batch, tuple) else batch.size
            self._weight += size + _BATCH_BYTES
        self._weighed = len(self.batches)
        return self._weight

    def refuse(self, reply: bytes) -> None:
        """Drops what waits: nothing of it is written, and `reply` says so."""
        self._scheduled = False
        self.refusals += 1
        segments, self.batches, self.segments = self.segments, [], []
        self._weighed = self._weight = 0
        self.overlay.clear()
        for segment in segments:
            segment.connection.leave_group(segment)
        _answer(segments, reply)

    def submit(self) -> bool:
        """Hands the group to the store and settles its segments. True when there was anything."""
        self._scheduled = False
        batches, segments = self.batches, self.segments
        if not batches:
            return False

        # The group is empty before anything of it is settled: a reply that goes out may lead to new writes.
        self.batches, self.segments = [], []
        self._weighed = self._weight = 0
        self._watches.wrote(self.overlay.keys())
        self.overlay.clear()
        for segment in segments:
            segment.connection.leave_group(segment)

        # One write to the log for all: every batch is in it afterwards or, when it raises, none.
        try:
            last = self._store.submit_many(batches)
        except Exception as error:
            self.refusals += 1
            if not isinstance(error, ReplicadError):
                log.error("server.group_failed", batches=len(batches), exc_info=error)
            _fail(segments, error)
            return True

        # A connection remembers its own last write, not the group's: REPLICAD.POSITION says exactly that one.
        spans = [1 if isinstance(batch, tuple) else batch.count or 1 for batch in batches]
        first = last - sum(spans)
        ends = list(accumulate(spans, initial=first))
        for segment in segments:
            segment.sequence = last
            if segment.last_batch >= 0:
                segment.connection.last_write = ends[segment.last_batch + 1]
        return True


def write_refused(error: BaseException) -> bytes:
    """The reply to a write that the store did not take, or can no longer vouch for."""
    if isinstance(error, DiskFullError):
        return replies.error(f"ERR no room on disk, nothing was written: {error}")
    if isinstance(error, PoisonedError):
        return replies.error(f"ERR storage failed, the outcome of this write is unknown: {error}")
    if not isinstance(error, ReplicadError):  # No memory or no thread: perhaps after it was in the log.
        return replies.error(f"ERR the outcome of this write is unknown: {error!r}")
    return replies.error(f"ERR the write was refused: {error}")


def replicas_missing(lacking: str, sequence: int, is_durable_here: bool) -> bytes:
    """The reply to a write that is in the log, and not on the replicas that it had to wait for."""
    here = "durable" if is_durable_here else "written and not durable yet"
    return replies.error(f"NOREPLICAS {lacking}; all up to sequence {sequence} is {here} here and stays")


def _fail(segments: list[HeldReplies], error: BaseException) -> None:
    _answer(segments, write_refused(error))


def _answer(segments: list[HeldReplies], reply: bytes) -> None:
    for segment in segments:
        segment.fail(reply)


class Transaction:
    """One EXEC under way: a batch that grows, and the state that its commands see."""

    __slots__ = ("_begin_batch", "batch", "overlay", "reader", "saw_group")

    def __init__(self, reader: Reader, begin_batch: Callable[[], WriteBatch]) -> None:
        self.batch: WriteBatch | None = None
        self.overlay: dict[Name, bytes | None] = {}
        self.reader = reader
        self.saw_group = False
        self._begin_batch = begin_batch

    def open_batch(self) -> WriteBatch:
        if self.batch is None:
            self.batch = self._begin_batch()
        return self.batch
