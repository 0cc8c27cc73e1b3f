"""Everything that was ever durable, frame by frame, as it is in the nodes' logs; and what must hold of it.

Positions are the keys, so histories that fork are a tree:

    1:0 ── 1:1 ── 1:2 ── 1:3 ── 1:4          a tail that only an old primary had
                    └─── 2:3 ── 2:4 ── 2:5   what goes on
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from replicad import kernels
from replicad.types import ORIGIN, Epoch, HistoryHash, Position, Sequence
from tests.support.oracle.batch import DELETE, LOG_DATA, PUT, Record, decode_body
from tests.support.oracle.frame import HEADER


class Violation(AssertionError):
    """A promise was broken."""


@dataclass(slots=True)
class Frame:
    position: Position
    first: int
    data: bytes
    records: list[Record]
    written_by: str
    before: Position | None


@dataclass(slots=True)
class Ledger:
    frames: dict[Position, Frame] = field(default_factory=dict)
    writers: dict[int, str] = field(default_factory=dict)
    """Which node writes an epoch: the first that has it durably, for an epoch's first frame is durable there
    before anybody else gets it. The first epoch begins without such a frame."""
    sent_ahead: bool = False
    """Whether frames may be durable elsewhere before they are at the node that wrote them."""
    began: dict[int, float] = field(default_factory=dict)
    """When its first frame was durable."""
    now: Callable[[], float] = lambda: 0.0
    _numbered: dict[tuple[int, int], Position] = field(default_factory=dict)

    def add(self, node: str, chunk: bytes, before: Position | None) -> Position | None:
        """Frames that are durable at a node, the first of which follows `before`; the last position."""
        for epoch, first, count, _, history_hash, begin, end in kernels.list_frames(chunk):
            last = first + max(1, count) - 1
            position = Position(Epoch(epoch), Sequence(last), HistoryHash(history_hash))
            self._add(node, position, first, chunk[begin - HEADER.size : end], chunk[begin:end], before)
            before = position
        return before

    def _add(
        self, node: str, position: Position, first: int, data: bytes, body: bytes, before: Position | None
    ) -> None:
        if first == 1:
            before = ORIGIN
        known = self.frames.get(position)
        if known is not None:
            if known.data != data:
                raise Violation(f"{node} has other bytes at {position} than {known.written_by} wrote")
            if known.before is None:
                known.before = before
            elif before is not None and known.before != before:
                raise Violation(f"{position} follows {before} at {node}, and {known.before} elsewhere")
            return
        other = self._numbered.setdefault((position.epoch, position.sequence), position)
        if other != position:
            raise Violation(f"two histories in one epoch: {node} has {position}, others have {other}")
        self.began.setdefault(position.epoch, self.now())
        writer = self.writers.setdefault(position.epoch, node)
        if writer != node and not self.sent_ahead:
            raise Violation(f"{node} has {position}, durable, before {writer}, which writes this epoch")
        self.frames[position] = Frame(position, first, data, decode_body(body), node, before)

    def check_known(self, node: str, position: Position) -> None:
        if position.sequence and position not in self.frames:
            raise Violation(f"{node} is at {position}, where nobody ever was")

    def history(self, newest: Position) -> list[Frame]:
        """All that led to a position, the oldest first."""
        frames = []
        at: Position | None = newest
        while at is not None and at.sequence:
            frame = self.frames.get(at)
            if frame is None:
                raise Violation(f"{at}, on the way to {newest}, was never durable anywhere")
            frames.append(frame)
            at = frame.before
        if at is None:
            raise Violation(f"the way to {newest} begins at {frames[-1].position}")
        return frames[::-1]


def contents(history: list[Frame]) -> dict[bytes, bytes]:
    """The pairs of the default family after a history."""
    pairs: dict[bytes, bytes] = {}
    for frame in history:
        for kind, family, key, value in frame.records:
            if family == 0 and kind == PUT:
                pairs[key] = value or b""
            elif family == 0 and kind == DELETE:
                pairs.pop(key, None)
    return pairs


def number_of(value: bytes) -> int:
    return int(value.split(b":", 1)[0])


def numbers(frame: Frame) -> list[int]:
    """The writes that are in a frame, by the annotations' word."""
    return [number_of(value or b"") for kind, _, _, value in frame.records if kind == LOG_DATA]
