"""Which objects, and how much of each, make up the log from one position to another: pure decisions.

A database has one line of history: every epoch begins at its fork, which may lie before the end of the
epoch before it. What an epoch holds beyond the fork of a later one was thrown away by a promotion, and is no
part of the line. A fork is the last sequence number before its epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass

from replicad.backup.archive.names import LogObject
from replicad.types import Epoch, Position, Sequence


@dataclass(frozen=True, slots=True)
class LogPiece:
    """The frames of an object after sequence number `after` through `through`."""

    object: LogObject
    after: Sequence
    through: Sequence


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequence numbers that no object holds, both ends included; `last` is None where nobody knows."""

    first: Sequence
    last: Sequence | None

    def __str__(self) -> str:
        return f"{self.first} to {self.last}" if self.last is not None else f"{self.first} and later"


@dataclass(frozen=True, slots=True)
class JoinedLog:
    """What lies between two positions: pieces that join, then gaps, if any."""

    pieces: tuple[LogPiece, ...]
    gaps: tuple[Gap, ...]

    @property
    def end(self) -> Sequence | None:
        """How far the pieces go without a gap; None without pieces."""
        return self.pieces[-1].through if self.pieces else None


def limit_of(epoch: Epoch, forks: Mapping[Epoch, Sequence]) -> Sequence | None:
    """Through where an epoch belongs to the line; `forks` says where each epoch begins."""
    return min((fork for later, fork in forks.items() if later > epoch), default=None)


def is_on_line(position: Position, forks: Mapping[Epoch, Sequence]) -> bool:
    """Whether the history of `position` goes on to the newest epoch."""
    limit = limit_of(position.epoch, forks)
    return limit is None or position.sequence <= limit


def line_from(
    objects: Many[LogObject], forks: Mapping[Epoch, Sequence], start: Position, goal: Sequence | None = None
) -> JoinedLog:
    """The pieces after `start`, through `goal` or as far as there is any; gaps are passed over and listed.

    `start` has to be on the line; whether its hash agrees shows when the frames are read.
    """
    # An epoch counts only up to the fork of a later one: what it holds beyond was thrown away by a promotion.
    limits = {epoch: limit_of(epoch, forks) for epoch in {each.epoch for each in objects}}
    usable = []
    for each in objects:
        limit = limits[each.epoch]
        if each.epoch >= start.epoch and (limit is None or each.first <= limit):
            usable.append((each.first, each.last if limit is None else min(each.last, limit), each))

    pieces: list[LogPiece] = []
    gaps: list[Gap] = []
    at = start.sequence
    while goal is None or at < goal:
        # Two nodes may archive in different pieces, and a small object stays for a moment next to the large
        # one that replaces it. So several may hold the next frame.
        covering = [(last, each) for first, last, each in usable if first <= at + 1 <= last]
        if covering:
            last, each = max(covering, key=lambda pair: (pair[0], pair[1].epoch))
            through = Sequence(last if goal is None else min(last, goal))

            # Pieces have to join: beyond the first gap only further gaps are of interest.
            if not gaps:
                pieces.append(LogPiece(each, at, through))
            at = Sequence(through)
            continue

        following = [first for first, last, _ in usable if first > at + 1]
        if not following:
            if goal is not None:
                gaps.append(Gap(Sequence(at + 1), None))
            break

        next_first = min(following)
        gaps.append(Gap(Sequence(at + 1), Sequence(next_first - 1)))
        at = Sequence(next_first - 1)
    return JoinedLog(tuple(pieces), tuple(gaps))
