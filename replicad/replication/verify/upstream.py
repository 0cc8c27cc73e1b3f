"""The asking end: what a replica wants to know of the node that it follows, over the current session.

    ask ──> QUESTION ... ANSWER ──> the caller        one object for all sessions, one session at a time

A question of a session that ended is answered by an error. Everything here belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from replicad.errors import (
    NotFoundError,
    ProtocolError,
    UpstreamDamagedError,
    UpstreamError,
)
from replicad.replication.verify.answer_codec import (
    Subject,
    Trouble,
    decode_entries,
    decode_families,
    decode_ranges,
)
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.identify import VERIFY
from replicad.replication.wire.messages import Answer, Question, Verified, WantMark
from replicad.store.marks import Mark, MarkId
from replicad.store.ranges import Entries, RangeDigest


class Upstream:
    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._last = 0

    @property
    def is_there(self) -> bool:
        """Whether a stream runs from a node that can be asked."""
        return self._connection is not None

    def attach(self, connection: Connection, features: Sequence[str]) -> None:
        """A stream begins, between nodes with these features in common."""
        if VERIFY in features:
            self._connection = connection

    def detach(self) -> None:
        """The stream ended."""
        self._connection = None
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(UpstreamError("the session ended before the answer"))

    def answered(self, answer: Answer) -> None:
        future = self._asked.pop(answer.ask, None)
        if future is None:
            raise ProtocolError(f"an answer to question {answer.ask}, which was not asked")
        if not future.done():
            future.set_result(answer)

    def want_mark(self, mark: Mark) -> None:
        """The mark comes in the log; nothing says when."""
        self._connected().send(WantMark(mark.id, mark.seconds))

    def tell(self, verified: Verified) -> None:
        """Lets the other node show the result; lost when there is no session."""
        if self._connection is not None:
            self._connection.send(verified)

    def contents(self, id: MarkId) -> UpstreamContents:
        return UpstreamContents(self, id)

    def release(self, id: MarkId) -> None:
        if self._connection is not None:
            self._last += 1
            self._connection.send(Question(self._last, id, Subject.RELEASE, 0, (), 0, 0))

    async def ask(
        self, id: MarkId, subject: Subject, family: int, bounds: Sequence[bytes | None], size: int, parts: int
    ) -> bytes:
        """The payload of the answer; raises UpstreamError, and NotFoundError when the mark is not held."""
        connection = self._connected()
        self._last = number = self._last + 1
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = future

        try:
            connection.send(Question(number, id, subject, family, tuple(bounds), size, parts))
            answer = await future
        finally:
            if number in self._asked:
                # The question stays noted: its answer still comes, and an answer that was not asked for ends
                # the session.
                future.cancel()

        match answer.trouble:
            case None:
                return answer.payload
            case Trouble.NO_MARK:
                raise NotFoundError(answer.reason)
            case Trouble.DAMAGED:
                raise UpstreamDamagedError(f"{connection.peer} found rot in its own data: {answer.reason}")
        raise UpstreamError(f"{connection.peer} does not answer: {answer.reason}")

    def _connected(self) -> Connection:
        if self._connection is None:
            raise UpstreamError("there is no stream from a node that can be asked")
        return self._connection


class UpstreamContents:
    """What the other node holds at a mark; satisfies comparison's `Contents`."""

    def __init__(self, upstream: Upstream, id: MarkId) -> None:
        self._upstream = upstream
        self._id = id

    async def families(self) -> dict[int, str]:
        return decode_families(await self._upstream.ask(self._id, Subject.FAMILIES, 0, (), 0, 0))

    async def split(
        self, family: int, start: bytes, end: bytes | None, part_bytes: int, parts_max: int
    ) -> list[RangeDigest]:
        payload = await self._upstream.ask(
            self._id, Subject.SPLIT, family, (start, end), part_bytes, parts_max
        )
        parts = decode_ranges(payload, start)
        if not 1 <= len(parts) <= parts_max:
            raise ProtocolError(f"{len(parts)} parts where {parts_max} were asked for")
        return parts

    async def digests(self, family: int, bounds: Sequence[bytes | None], bytes_max: int) -> list[RangeDigest]:
        payload = await self._upstream.ask(self._id, Subject.DIGESTS, family, bounds, bytes_max, 0)
        digests = decode_ranges(payload, bounds[0] or b"")
        if [digest.end for digest in digests] != list(bounds[1:]):
            raise ProtocolError("digests of other ranges than were asked for")
        return digests

    async def entries(self, family: int, start: bytes, end: bytes | None) -> Entries:
        return decode_entries(await self._upstream.ask(self._id, Subject.ENTRIES, family, (start, end), 0, 0))
