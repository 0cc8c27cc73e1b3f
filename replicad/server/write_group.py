"""Group commit as the server sees it: the writes of one tick of the loop go to the store together.

    client --put--> WriteGroup --submit_many, once a tick--> store
       ^                                                       |
       +----- replies, when their sequence number is visible --+

Every write command (and every EXEC) is a batch of its own. Until the group goes to the store, its effects
are in `overlay`, so a command that follows a write sees it without ending the group early.

The loop's thread owns everything here.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

from replicad.env.events import get_logger
from replicad.errors import ReplicadError
from replicad.server.interfaces import Name, Put
from replicad.server.refusals import write_refused
from replicad.server.reply_queue import PENDING, HeldReplies, ReplyQueue
from replicad.server.watches import Watches
from replicad.store.batch import WriteBatch
from replicad.store.database import Database

log = get_logger()

_BATCH_BYTES = 256  # what Python adds to each


class WriteGroup:
    """The batches of this tick, and the segments whose replies wait for them."""

    def __init__(self, store: Database, watches: Watches, schedule: Callable[[], None]) -> None:
        """`schedule` is called at the first batch of each tick: it has the group submitted."""
        self.overlay: dict[Name, bytes | None] = {}
        self.batches: list[WriteBatch | Put] = []
        self.refusals = 0
        """How many groups were not written."""
        self._segments: list[HeldReplies] = []
        self._weighed = 0
        self._weight = 0
        self._store = store
        self._watches = watches
        self._schedule = schedule
        self._scheduled = False

    def add(self, queue: ReplyQueue, batch: WriteBatch | Put) -> None:
        """The next reply of this queue answers `batch`, and waits for it."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule()
        segment = queue.segment or self._join(queue)
        segment.dependent.append(len(segment.replies))
        segment.last_batch = len(self.batches)
        self.batches.append(batch)

    def depend(self, queue: ReplyQueue) -> None:
        """The next reply of this queue shows what the group writes: it waits for it, and fails with it."""
        segment = queue.segment or self._join(queue)
        segment.dependent.append(len(segment.replies))

    def _join(self, queue: ReplyQueue) -> HeldReplies:
        segment = queue.segment = queue.open_segment(PENDING)
        self._segments.append(segment)
        return segment

    def weigh(self) -> int:
        """The bytes that its batches take, about; each is looked at once, and only when somebody asks."""
        for batch in self.batches[self._weighed :]:
            size = len(batch[0]) + len(batch[1]) if isinstance(batch, tuple) else batch.size
            self._weight += size + _BATCH_BYTES
        self._weighed = len(self.batches)
        return self._weight

    def refuse(self, reply: bytes) -> None:
        """Drops what waits: nothing of it is written, and `reply` says so."""
        self.refusals += 1
        _, segments = self._take()
        _fail(segments, reply)

    def submit(self) -> bool:
        """Hands the group to the store and settles its segments. True when there was anything."""
        if not self.batches:
            self._scheduled = False
            return False

        # The group is empty before anything of it is settled: a reply that goes out may lead to new writes.
        self._watches.wrote(self.overlay.keys())
        batches, segments = self._take()

        # One write to the log for all: every batch is in it afterwards or, when it raises, none.
        try:
            last = self._store.submit_many(batches)
        except Exception as error:
            self.refusals += 1
            if not isinstance(error, ReplicadError):
                log.error("server.group_failed", batches=len(batches), exc_info=error)
            _fail(segments, write_refused(error))
            return True

        # A client remembers its own last write, not the group's: REPLICAD.POSITION says exactly that one.
        spans = [1 if isinstance(batch, tuple) else batch.count or 1 for batch in batches]
        first = last - sum(spans)
        ends = list(accumulate(spans, initial=first))
        for segment in segments:
            segment.sequence = last
            if segment.last_batch >= 0:
                segment.queue.last_write = ends[segment.last_batch + 1]
        return True

    def _take(self) -> tuple[list[WriteBatch | Put], list[HeldReplies]]:
        """Empties the group: later writes belong to another one."""
        batches, segments = self.batches, self._segments
        self.batches, self._segments = [], []
        self._weighed = self._weight = 0
        self._scheduled = False
        self.overlay.clear()
        for segment in segments:
            segment.queue.segment = None
        return batches, segments


def _fail(segments: list[HeldReplies], reply: bytes) -> None:
    for segment in segments:
        segment.fail(reply)
