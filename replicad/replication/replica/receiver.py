"""The replica's side of a stream: frames in, appended and applied as they are, acknowledged.

    FRAMES ──> (those that are here already, up to a chunk) ──> the intake's `take` ──> ACK received, applied
                                                                    └─ its sync, later ──> ACK durable

Where log waits before it is applied (`delayed_apply`), it is acknowledged as received and durable first.

Acknowledgements are collected for a few milliseconds, unless somebody waits for them (ASK) or much came since
the last one. What somebody waits for is synced at once, too.

The intake checks that the first frame follows its position and continues its history hash. While the store
stalls nothing is taken from the connection, which stops reading, and so the primary stops sending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from replicad import kernels
from replicad.errors import GapError, ProtocolError, SessionRefusedError
from replicad.options import MIB
from replicad.replication.intake import INLINE_BYTES_MAX, LogIntake
from replicad.replication.options import ReplicationOptions
from replicad.replication.tasks import Wakeup, beside
from replicad.replication.traffic import Traffic
from replicad.replication.verify.upstream import Upstream
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.history_check import HistoryCheck
from replicad.replication.wire.messages import Ack, Answer, Ask, Heartbeat, LogFrames, Message, Nodes, Refuse

ACK_BYTES = 1 * MIB
"""After this many bytes an acknowledgement goes out before its time: it opens the primary's window."""

NO_DELAYS = (
    "the primary is of a release that does not know delayed replicas: upgrade it first, or set "
    "apply_delay_seconds = 0 and resume this replica"
)


class Receiver:
    """Follows one stream from the intake's position on."""

    def __init__(
        self,
        intake: LogIntake,
        connection: Connection,
        options: ReplicationOptions,
        *,
        on_primary: Callable[[int, Heartbeat | None], None],
        upstream: Upstream | None = None,
        on_nodes: Callable[[Nodes], None] = lambda nodes: None,
        traffic: Traffic | None = None,
        takes_delayed: bool = True,
    ) -> None:
        """`takes_delayed`: the primary knows that log may be durable here before it is applied.
        `on_primary` is told the primary's durable sequence number, and the heartbeat if one said it;
        `on_nodes` which other nodes there are."""
        self._on_nodes = on_nodes
        self._traffic = traffic or Traffic()
        self._intake = intake
        self._takes_delayed = takes_delayed
        self._connection = connection
        self._options = options
        self._on_primary = on_primary
        self._upstream = upstream

        self._wakeup = Wakeup()
        self._check = HistoryCheck()
        self._acknowledged: Ack | None = None
        self._asked_through = 0
        self._unacknowledged_bytes = 0
        self._ack_timer: asyncio.TimerHandle | None = None

        self._received = int(intake.position.sequence)
        self._cuts = intake.cuts
        self.received_bytes = 0
        self.waits_for = ""

    async def run(self) -> None:
        """Ends only by an error: the peer's, the store's or a cancellation."""
        unsubscribe = self._intake.subscribe(self._wakeup.notify)
        try:
            await beside(self._ingest(), self._acknowledge())
        finally:
            unsubscribe()
            if self._ack_timer is not None:
                self._ack_timer.cancel()

    async def _ingest(self) -> None:
        while True:
            self.waits_for = "the next frames"
            message: Message | None = await self._connection.receive()

            # What is here already is taken without another wait, so frames that came together are applied
            # together.
            while message is not None:
                if isinstance(message, LogFrames):
                    batch, message = self._gather(message)
                    await self._apply(batch)
                    continue

                if isinstance(message, Refuse):
                    raise SessionRefusedError(message.code, message.reason, message.retry)

                if isinstance(message, Answer) and self._upstream is not None:
                    self._upstream.answered(message)
                    message = self._connection.receive_ready()
                    continue

                if isinstance(message, Nodes):
                    self._on_nodes(message)
                    message = self._connection.receive_ready()
                    continue

                # Somebody at the primary waits for this: it is not collected with later ones.
                if isinstance(message, Ask):
                    self._asked_through = max(self._asked_through, message.through)
                    self._send_ack()
                    message = self._connection.receive_ready()
                    continue

                if not isinstance(message, Heartbeat):
                    raise ProtocolError(f"{message.KIND.name} came in the stream")

                # Before the primary's position counts: another history is noticed at once, not at the next
                # agreement.
                self._check.heard(message.position, self._intake.position)
                self._on_primary(message.position.sequence, message)
                message = self._connection.receive_ready()

    def _gather(self, first: LogFrames) -> tuple[list[LogFrames], Message | None]:
        """The frames of one epoch that are here already, up to a chunk, and the message after them if any."""
        batch = [first]
        size = len(first.payload)
        while size < self._options.chunk_bytes:
            message = self._connection.receive_ready()
            if not isinstance(message, LogFrames) or _epoch(message) != _epoch(first):
                return batch, message
            batch.append(message)
            size += len(message.payload)
        return batch, None

    async def _apply(self, batch: list[LogFrames]) -> None:
        for message in batch:
            # The numbers in the messages are checked here, the frames themselves by the store.
            if message.first != self._received + 1:
                raise GapError(f"frames begin at {message.first}, after {self._received}")
            if message.last < message.first:
                raise ProtocolError(f"frames {message.first} to {message.last}")
            self._received = message.last

        frames = batch[0].payload if len(batch) == 1 else b"".join(message.payload for message in batch)
        self.received_bytes += len(frames)
        self._traffic.stream_received_bytes += len(frames)
        self._unacknowledged_bytes += len(frames)
        self._on_primary(batch[-1].primary, None)

        # A primary of a release without delays would take such an acknowledgement for a lie.
        if self._intake.delays and not self._takes_delayed:
            raise SessionRefusedError("no-delays", NO_DELAYS, False)

        # What was received is acknowledged before a wait that may be long. Where it waits in a log of its own
        # it is only then received: that log may be full.
        if len(frames) > INLINE_BYTES_MAX or self._intake.stalled:
            self._send_ack()
            await self._until_not_stalled()
            self.waits_for = "the store to apply"
        position = await self._intake.take(frames)

        # `received` came from the messages. If the frames end elsewhere, what was acknowledged is not true.
        if position.sequence != self._received:
            raise ProtocolError(f"the frames ended at {position.sequence}, not at {self._received}")

        self._check.applied(frames, position)
        self._send_ack()

    async def _until_not_stalled(self) -> None:
        if self._intake.failed is not None:
            raise self._intake.failed
        while self._intake.stalled:
            self.waits_for = f"the store: {self._intake.stalled}"
            self._wakeup.clear()
            if not self._intake.stalled:
                break
            await self._wakeup.wait()

    async def _acknowledge(self) -> None:
        while True:
            self._wakeup.clear()
            if self._intake.failed is not None:
                raise self._intake.failed
            if self._intake.cuts != self._cuts:
                raise GapError("received log was damaged, and is asked for again")
            self._send_ack()
            await self._wakeup.wait()

    def _send_ack(self) -> None:
        ack = self._ack()
        if ack.durable < min(self._asked_through, self._intake.position.sequence):
            self._intake.hurry_sync()

        last = self._acknowledged
        if ack == last:
            return

        # The first acknowledgement and one that somebody waits for go out at once. After many bytes the
        # primary's window may be full, so that is not waited for either.
        awaited = last is None or self._asked_through > last.durable
        if awaited or self._unacknowledged_bytes >= ACK_BYTES:
            self._acknowledge_now(ack)
        elif self._ack_timer is None:
            loop = asyncio.get_running_loop()
            self._ack_timer = loop.call_later(self._options.ack_seconds, self._ack_time_over)

    def _ack_time_over(self) -> None:
        self._ack_timer = None
        self._acknowledge_now(self._ack())

    def _ack(self) -> Ack:
        """What is true now. Of what a stall keeps from the intake it says only that it was received."""
        intake = self._intake
        received = self._received
        if intake.delays:
            before = 0 if self._acknowledged is None else self._acknowledged.received
            received = max(before, min(received, intake.position.sequence))
        applied = min(intake.applied_sequence, received)
        durable = min(intake.durable_position.sequence, received)
        return Ack(received, applied, durable)

    def _acknowledge_now(self, ack: Ack) -> None:
        self._acknowledged = ack
        self._unacknowledged_bytes = 0
        self._connection.send(ack)


def _epoch(message: LogFrames) -> int | None:
    """The epoch of the first frame: a message never holds two. None without a whole header, which the store
    refuses."""
    payload = message.payload
    if len(payload) < kernels.FRAME_HEADER_BYTES:
        return None
    return kernels.FrameHeader.decode(payload).epoch
