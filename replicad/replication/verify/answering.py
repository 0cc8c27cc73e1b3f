"""The answering end: reads this node's data at a mark for the replicas that ask, within one budget for all.

One task a session answers one question after another; how many may wait is bounded, as is what one question
makes this node read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from replicad.errors import ClosedError, CorruptionError, InvalidArgument, NotFoundError, ProtocolError
from replicad.replication.verify.answer_codec import (
    Subject,
    Trouble,
    encode_entries,
    encode_families,
    encode_ranges,
)
from replicad.replication.verify.comparison import DIGESTED_BYTES_MIN, FANOUT, PART_BYTES, PARTS
from replicad.replication.verify.contents import SnapshotContents
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.messages import Answer, Question, Verified, WantMark
from replicad.store.marks import Mark, MarkId, Marks

WAITING_MAX = 8
MARK_SECONDS_MIN = 0.5
"""Between two marks that one replica wants."""
PARTS_MAX = max(PARTS, FANOUT)
DIGESTED_BYTES_MAX = 64 * DIGESTED_BYTES_MIN


class Answering:
    """What answers for one node; every session has a `Session` of it. Belongs to the event loop."""

    def __init__(
        self,
        marks: Callable[[], Marks],
        write_mark: Callable[[Mark], None],
        pause: Callable[[int], Awaitable[None]],
        on_corruption: Callable[[CorruptionError], None],
    ) -> None:
        """`pause` is awaited with the bytes that were read; `write_mark` returns without waiting."""
        self._marks = marks
        self._write_mark = write_mark
        self._pause = pause
        self._on_corruption = on_corruption

    async def answer(self, question: Question) -> Answer:
        """Raises ProtocolError for what nobody may ask."""
        id = MarkId(question.mark)
        try:
            payload, size_bytes = await self._read(id, question)
        except (NotFoundError, ClosedError, InvalidArgument) as error:
            return _trouble(question, Trouble.NO_MARK, error)
        except CorruptionError as error:
            self._on_corruption(error)
            return _trouble(question, Trouble.DAMAGED, error)
        await self._pause(size_bytes)
        return Answer(question.ask, None, "", payload)

    def want_mark(self, wanted: WantMark) -> None:
        self._write_mark(Mark(MarkId(wanted.mark), wanted.seconds))

    def release(self, id: MarkId) -> None:
        self._marks().release(id)

    async def _read(self, id: MarkId, question: Question) -> tuple[bytes, int]:
        contents = SnapshotContents(self._marks().snapshot(id))
        bounds, family = question.bounds, question.family
        if question.about == Subject.FAMILIES:
            return encode_families(await contents.families()), 0

        if len(bounds) < 2 or None in bounds[:-1]:
            raise ProtocolError(f"{question.about} between boundaries that are not in order")
        start = bounds[0]
        assert start is not None

        # The peer chooses the sizes, so what one question makes this node read is bounded here.
        match question.about:
            case Subject.SPLIT:
                parts_max = min(max(question.parts, 1), PARTS_MAX)
                part_bytes = min(max(question.size, 1), DIGESTED_BYTES_MAX)
                parts = await contents.split(family, start, bounds[1], part_bytes, parts_max)
            case Subject.DIGESTS:
                parts = await contents.digests(family, bounds, min(question.size, DIGESTED_BYTES_MAX))
            case Subject.ENTRIES:
                return encode_entries(await contents.entries(family, start, bounds[1])), PART_BYTES
            case _:
                raise ProtocolError(f"a question about {question.about!r}")

        return encode_ranges(parts), sum(part.size_bytes for part in parts)


class AnsweringSession:
    """The questions of one session, and the marks it wants, in the order they come."""

    def __init__(self, answering: Answering, connection: Connection) -> None:
        self.verified: tuple[Verified, float] | None = None
        """What the replica found last, and when it said so on the loop's clock."""
        self._next_mark_at = 0.0
        self._answering = answering
        self._connection = connection
        self._waiting: asyncio.Queue[Question | WantMark] = asyncio.Queue(WAITING_MAX)

    def take(self, message: Question | WantMark | Verified) -> None:
        """Raises ProtocolError for too many at once."""
        if isinstance(message, Verified):
            self.verified = message, asyncio.get_running_loop().time()
        elif isinstance(message, Question) and message.about == Subject.RELEASE:
            self._answering.release(MarkId(message.mark))
        elif self._waiting.full():
            raise ProtocolError(f"more than {WAITING_MAX} questions at once")
        else:
            self._waiting.put_nowait(message)

    async def run(self) -> None:
        """Never returns."""
        while True:
            message = await self._waiting.get()
            if isinstance(message, WantMark):
                now = asyncio.get_running_loop().time()
                await asyncio.sleep(self._next_mark_at - now)
                self._next_mark_at = max(now, self._next_mark_at) + MARK_SECONDS_MIN
                self._answering.want_mark(message)
            else:
                self._connection.send(await self._answering.answer(message))
                await self._connection.drain()


def _trouble(question: Question, trouble: Trouble, error: Exception) -> Answer:
    return Answer(question.ask, trouble, str(error)[:1000], b"")
