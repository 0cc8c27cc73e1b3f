"""One client's replies, in the order of its commands: those that are ready, and behind them those that wait.

A reply that must wait (of a write that is not visible yet, or of a read that saw such a state) goes into a
held segment. From then on everything that the client is told goes behind it, also replies that need not wait
themselves. The queue knows neither sockets nor commands: the connection takes what is in `ready`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

PENDING = 1 << 64
"""Above every sequence number: the write group of these replies is not in the log yet."""


def _nobody() -> None:
    """Stands where nobody wants to know."""


class HeldReplies:
    """A run of one client's replies that are sent when `sequence` is visible.

    `dependent` are the indices of the replies that are untrue unless the group commits: those of its
    writes, and of reads that saw them. `last_batch` is the index of the client's last batch in the
    group; `since` is when it was opened. One that does not wait `for_replicas` waits for the store only.
    """

    __slots__ = ("dependent", "for_replicas", "last_batch", "queue", "replies", "sequence", "since")

    def __init__(self, queue: ReplyQueue, sequence: int, since: float, for_replicas: bool) -> None:
        self.queue = queue
        self.sequence = sequence
        self.since = since
        self.for_replicas = for_replicas
        self.replies: list[bytes] = []
        self.dependent: list[int] = []
        self.last_batch = -1

    def fail(self, reply: bytes) -> None:
        """Answers with `reply` what depends on the segment's writes, and makes it ready at once."""
        for index in self.dependent:
            # A command without a reply yet goes on in pieces, and says by itself what became of it.
            if index < len(self.replies):
                self.replies[index] = reply
        self.sequence = 0


class ReplyQueue:
    """`holding` lists all queues of a server that hold something; `now` is the server's clock.

    `on_release` is called whenever held replies became ready.
    """

    def __init__(self, holding: dict[ReplyQueue, None], now: Callable[[], float]) -> None:
        self.ready: list[bytes] = []
        self.held: deque[HeldReplies] = deque()
        self.append: Callable[[bytes], None] = self.ready.append
        """Takes the next reply: into `ready`, or into the last held segment."""
        self.segment: HeldReplies | None = None
        """The one that waits for the open write group, if one of these replies does."""
        self.last_write = 0
        """Sequence number of the client's last write, once it is in the log."""
        self.waits_for_replicas = True
        self.on_release: Callable[[], None] = _nobody
        self._holding = holding
        self._now = now

    def wait_for_replicas(self, wanted: bool) -> None:
        """Whether writes from now on wait for the replicas that the rule asks for."""
        self.waits_for_replicas = wanted
        self.segment = None

    def hold(self, sequence: int, visible: int) -> None:
        """Keeps back the next reply, and all after it, until `sequence` is visible."""
        if self.held:
            if self.held[-1].sequence >= sequence:
                return
        elif sequence <= visible:
            return
        self.open_segment(sequence)

    def hold_written(self, sequence: int) -> None:
        """Keeps back the next reply: it is of what was written just now, up to `sequence`."""
        self.last_write = sequence
        self.segment = None
        segment = self.open_segment(sequence)
        segment.dependent.append(0)

    def open_segment(self, sequence: int) -> HeldReplies:
        segment = HeldReplies(self, sequence, self._now(), self.waits_for_replicas)
        if not self.held:
            self._holding[self] = None
        self.held.append(segment)
        self.append = segment.replies.append
        return segment

    def release(self, visible: int, released: int) -> None:
        """Makes ready what is visible, or `released` where it waits for replicas."""
        held = self.held
        while held and held[0].sequence <= (released if held[0].for_replicas else visible):
            self.ready += held.popleft().replies
        if not held:
            self._holding.pop(self, None)
            self.append = self.ready.append
        self.on_release()

    def fail(self, reply: bytes) -> None:
        """Answers with `reply` all that is held and reached the store: nobody can vouch for it any more."""
        for segment in self.held:
            if segment.sequence:
                segment.replies = [reply] * len(segment.replies)
        self.release(PENDING, PENDING)

    def drop(self) -> None:
        """The client is gone: nobody takes what is held, or is told that it became ready."""
        self.held.clear()
        self._holding.pop(self, None)
        self.on_release = _nobody
