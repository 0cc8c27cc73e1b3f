"""The primary's side of a stream: log frames out in windows, acknowledgements in.

             read_log.next            window, drain
    log ────────────────────> chunk ────────────────> FRAMES ... ACK ──> received, applied, durable

A chunk is whole frames as they are in the log files, so nothing here costs anything per frame. The window is
counted in bytes from the sending until the replica applied them; a chunk goes out when the window has any
room, so one frame longer than the window passes too. The store's notification wakes the loop: an idle stream
sends a new batch as soon as it is durable, or written where that is sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from replicad.errors import ProtocolError
from replicad.replication.options import ReplicationOptions
from replicad.replication.tasks import Wakeup, beside, in_thread
from replicad.replication.traffic import Traffic
from replicad.replication.verify.answering import AnsweringSession
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.history_check import check_same
from replicad.replication.wire.keepalive import Echo
from replicad.replication.wire.messages import Ack, Ask, Heartbeat, LogFrames, Question, Verified, WantMark
from replicad.store.database import Database
from replicad.store.wal.cursor import LogCursor
from replicad.types import Position


class Sender:
    """Streams the log after `sequence`; the replica is durable through `durable`."""

    def __init__(
        self,
        source: Database,
        connection: Connection,
        options: ReplicationOptions,
        *,
        sequence: int,
        durable: int,
        applied: int | None = None,
        on_ack: Callable[[Ack], None],
        now: Callable[[], float],
        sends_written: Callable[[], bool] = lambda: False,
        echo: Echo | None = None,
        ask_through: int = 0,
        answering: AnsweringSession | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        """`applied` is what of `sequence` the replica applied, where that may be less. `ask_through`: up to
        there the replica is asked to acknowledge at once; `now` is monotonic.
        `sends_written`: whether what is not durable yet may be sent at this moment."""
        self._source = source
        self._connection = connection
        self._options = options
        self._on_ack = on_ack
        self._echo = echo
        self.answering = answering
        self._traffic = traffic or Traffic()

        self._wakeup = Wakeup()
        self._on_its_way: deque[tuple[int, int, int]] = deque()
        self._now = now
        self._sends_written = sends_written
        self._ask_through = ask_through
        self._asked_through = 0

        # The replica's claim counts as its first acknowledgement, so neither of the others may be above
        # `received`.
        self.sent = sequence
        seen = sequence if applied is None else min(applied, sequence)
        self.ack = Ack(sequence, seen, min(durable, sequence))
        self.moved_at = dict.fromkeys(("received", "applied", "durable"), now())
        """When each level of `ack` moved last."""

        self._sent_from = sequence
        self._sent_batches = 0
        self._window_batches = 0
        self.window_bytes = 0
        """Bytes sent and not yet applied, nor durable where they are applied late."""
        self.sent_bytes = 0
        self.waits_for = ""
        self._checked: Position | None = None

    def ask(self, through: int) -> None:
        """Makes the replica acknowledge at once what it has up to `through`."""
        if through > max(self.ack.durable, self._asked_through):
            self._asked_through = through
            self._connection.send(Ask(through))

    def lag_batches(self, newest: int) -> int:
        """How many the replica has not applied: exact for what is on its way, and for the rest as many as the
        sequence numbers would be at the rate of what was sent. 0 exactly when nothing is missing."""
        unsent = newest - self.sent
        if unsent <= 0:
            return self._window_batches
        sent = self.sent - self._sent_from
        return self._window_batches + max(1, unsent * self._sent_batches // sent if sent else unsent)

    async def run(self) -> None:
        """Ends only by an error: the peer's, the store's (LogGoneError) or a cancellation."""
        if self._ask_through:
            self.ask(self._ask_through)
        unsubscribe = self._source.subscribe(self._wakeup.notify)
        try:
            answering = [] if self.answering is None else [self.answering.run()]
            await beside(self._send(), self._receive(), *answering)
        finally:
            unsubscribe()

    async def _send(self) -> None:
        cursor = self._source.read_log(self.sent + 1)
        try:
            await self._send_from(cursor)
        finally:
            cursor.close()

    async def _send_from(self, cursor: LogCursor) -> None:
        chunk_bytes = self._options.chunk_bytes
        at_tail = False
        while True:
            # Cleared before anything is looked at: what changes afterwards wakes the wait.
            self._wakeup.clear()

            # Any room admits a whole chunk, or a frame that is longer than the window would never pass.
            if self.window_bytes >= self._options.window_bytes:
                self.waits_for = "the replica to apply what was sent"
                await self._wakeup.wait()
                continue

            # What was just written is read faster than a thread is started. A read further back may wait for
            # the disk, and must not block the event loop. It gets durable log only: while the thread reads,
            # this node may begin an epoch, whose first frame must be durable before anybody gets it.
            cursor.written = at_tail and self._sends_written()
            if at_tail:
                chunk = cursor.next(chunk_bytes)
            else:
                chunk = await in_thread(cursor.next, chunk_bytes)

            if chunk is None and not at_tail:
                at_tail = True
                continue
            if chunk is None:
                self.waits_for = "the next write"
                await self._wakeup.wait()
                continue

            # A chunk that is far from full suggests that the tail is near.
            size = len(chunk.frames)
            at_tail = size < chunk_bytes // 2

            # Counted before it is sent: an acknowledgement above `sent` ends the session.
            self._on_its_way.append((chunk.last_sequence, size, chunk.batches))
            self.window_bytes += size
            self._window_batches += chunk.batches
            self._sent_batches += chunk.batches
            self.sent_bytes += size
            self._traffic.stream_sent_bytes += size
            self._traffic.stream_sent_batches += chunk.batches
            self.sent = chunk.last_sequence

            source = self._source
            newest = source.position.sequence if cursor.written else source.durable_sequence
            newest = max(newest, chunk.last_sequence)
            self._connection.send(LogFrames(chunk.first_sequence, chunk.last_sequence, newest, chunk.frames))

            self.waits_for = "the network"
            await self._connection.drain()

            # A read at the tail and a drain that finds room do not yield: other tasks get their turn here.
            await asyncio.sleep(0)

    async def _receive(self) -> None:
        while True:
            message = await self._connection.receive()
            if isinstance(message, Ack):
                self._acknowledged(message)
            elif isinstance(message, Heartbeat):
                if self._echo is not None:
                    self._echo.answer(message)
                await self._check(message.position)
            elif isinstance(message, Question | WantMark | Verified) and self.answering is not None:
                self.answering.take(message)
            else:
                raise ProtocolError(f"{message.KIND.name} came in the stream")

    async def _check(self, theirs: Position) -> None:
        """Whether the replica's durable history is this node's, as far as the log still tells."""
        if theirs.sequence == 0 or theirs == self._checked:
            return
        if theirs.sequence > self.sent:
            raise ProtocolError(f"the replica says it is at {theirs} where {self.sent} was sent")
        self._checked = theirs
        newest = self._source.position
        if newest.sequence == theirs.sequence:
            check_same(theirs, newest, peer="replica")
        else:
            check_same(theirs, await in_thread(self._source.position_at, theirs.sequence), peer="replica")

    @property
    def lag_seconds(self) -> float:
        """Since the replica said last that something is durable there; 0 when all that was sent is."""
        return 0.0 if self.ack.durable >= self.sent else self._now() - self.moved_at["durable"]

    def _acknowledged(self, ack: Ack) -> None:
        before = self.ack

        # Acknowledgements let log go and writes be answered: one that cannot be true ends the session.
        if not self.sent >= ack.received >= max(ack.applied, ack.durable):
            raise ProtocolError(f"{ack} where {self.sent} was sent")
        if ack.received < before.received or ack.applied < before.applied or ack.durable < before.durable:
            raise ProtocolError(f"{ack} goes back behind {before}")

        self.ack = ack
        for level in self.moved_at:
            if getattr(ack, level) > getattr(before, level):
                self.moved_at[level] = self._now()

        # A chunk leaves the window when it is applied, not when it arrives: a replica that cannot keep up is
        # not sent much more than a window beyond what it applied. One that applies late has dealt with it
        # when it is durable there.
        while self._on_its_way and self._on_its_way[0][0] <= max(ack.applied, ack.durable):
            _, size, batches = self._on_its_way.popleft()
            self.window_bytes -= size
            self._window_batches -= batches
            self._wakeup.notify()

        self._on_ack(ack)
