"""Comparing what nodes hold at one mark: digests of ranges, and deeper only where they differ.

    the reference splits a family ──> parts with digests ──> the others digest the same ranges
                                                                 │ equal: the next parts
                                                                 └ differs: whichever side holds more there
                                                                   splits again, down to a listing of keys

Nodes compact by themselves, so digests are of pairs in key order and the reference chooses the boundaries by
counting bytes. One pass reads everything once on every node; a difference costs a few ranges more. Nothing
keeps more than one step in memory, and values never travel.

A pass can stop anywhere and go on from `at`, also at a later mark: what is said to be equal was equal at the
mark of its time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

from replicad.options import KIB, MIB
from replicad.replication.tasks import together
from replicad.store.ranges import BOUNDARY_BYTES_MAX, Entries, RangeDigest

PART_BYTES = MIB
PARTS = 4
"""Parts of one step."""
LEAF_BYTES = 64 * KIB
"""A range that is smaller is listed."""
FANOUT = 16
DIGESTED_BYTES_MIN = 4 * PART_BYTES
FIRST = (0, b"")


class Contents(Protocol):
    """One node's data at the mark; one call at a time.

    `end` None is the end of the family, as is a last boundary of None. Raises NotFoundError or ClosedError
    when the node holds the mark's snapshot no longer, CorruptionError when it cannot read its data.
    """

    async def families(self) -> dict[int, str]:
        """Name by id."""
        ...

    async def split(
        self, family: int, start: bytes, end: bytes | None, part_bytes: int, parts_max: int
    ) -> list[RangeDigest]: ...
    async def digests(
        self, family: int, bounds: Sequence[bytes | None], bytes_max: int
    ) -> list[RangeDigest]: ...
    async def entries(self, family: int, start: bytes, end: bytes | None) -> Entries: ...


class DifferenceKind(StrEnum):
    """How a node differs from the reference."""

    MISSING = "missing"
    EXTRA = "extra"
    VALUE = "value"
    RANGE = "range"
    """Somewhere from the key on, among keys too long to be named one by one."""
    FAMILY_MISSING = "family-missing"
    FAMILY_EXTRA = "family-extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """`node` is the index among the others; `key` is a name where `kind` is about a family."""

    node: int
    family: int
    key: bytes
    kind: DifferenceKind


async def _no_pause(size_bytes: int) -> None:
    pass


class Comparison:
    """One pass over everything, by one task."""

    def __init__(
        self, *, differences_max: int = 10, pause: Callable[[int], Awaitable[None]] = _no_pause
    ) -> None:
        """`pause` is awaited with the bytes that each node just read. The pass ends, unfinished, when
        `differences_max` were found."""
        self._differences_max = differences_max
        self._pause = pause
        self.at = FIRST
        """(family, key) where the pass goes on: everything before it was compared."""
        self.compared_bytes = 0
        self.differences: list[Difference] = []
        self.finished = False

    @property
    def enough(self) -> bool:
        return len(self.differences) >= self._differences_max

    async def run(
        self,
        reference: Contents,
        others: Sequence[Contents],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Goes on from `at` to the end, or to enough differences, or to the step where it is over.

        A step that an error interrupted is done again by the next call.
        """
        named = await together(reference.families(), *(other.families() for other in others))
        self._compare_families(named)
        everywhere = set(named[0]).intersection(*named[1:])
        for family in sorted(everywhere):
            if family >= self.at[0] and not await self._run_family(reference, others, family, is_over):
                return
        self.finished = True

    def _compare_families(self, named: list[dict[int, str]]) -> None:
        mine = set(named[0].items())
        for node, theirs in enumerate(named[1:]):
            for id, name in sorted(mine ^ set(theirs.items())):
                kind = (
                    DifferenceKind.FAMILY_MISSING if named[0].get(id) == name else DifferenceKind.FAMILY_EXTRA
                )
                self._add(Difference(node, id, name.encode(), kind))

    def _add(self, found: Difference) -> None:
        if found not in self.differences and not self.enough:
            self.differences.append(found)

    async def _run_family(
        self, reference: Contents, others: Sequence[Contents], family: int, is_over: Callable[[], bool]
    ) -> bool:
        """Whether the family is done, and there is a reason to go on."""
        start = self.at[1] if family == self.at[0] else b""
        parts = await reference.split(family, start, None, PART_BYTES, PARTS)

        while True:
            # The reference splits the next parts while the others digest these: a step costs the slower of
            # the two, not both.
            end = parts[-1].end
            ahead = [] if end is None else [reference.split(family, end, None, PART_BYTES, PARTS)]
            digesting = (other.digests(family, _bounds(parts), _limit(parts)) for other in others)
            digested = await together(*digesting, *ahead)

            for node, other in enumerate(others):
                for mine, theirs in zip(parts, digested[node], strict=True):
                    if mine != theirs and not self.enough:
                        await self._descend(_Pair(reference, other, node, family), mine, theirs)

            if self.enough:
                return False

            # Only now does `at` move: a step that an error interrupted is done again.
            size_bytes = sum(part.size_bytes for part in parts)
            self.compared_bytes += size_bytes
            self.at = (family, end) if end is not None else (family + 1, b"")

            await self._pause(size_bytes)
            if end is None:
                return True
            if is_over():
                return False
            parts = digested[-1]

    async def _descend(self, pair: _Pair, mine: RangeDigest, theirs: RangeDigest) -> None:
        """Finds the keys that differ within one range that does."""
        size_bytes = max(mine.size_bytes, theirs.size_bytes)
        if size_bytes <= LEAF_BYTES:
            await self._list(pair, mine.start, mine.end)
            return

        # The side that holds more splits: between boundaries of the other side, a part could have any size.
        splits_mine = mine.size_bytes >= theirs.size_bytes
        splitter, other = (pair.mine, pair.theirs) if splits_mine else (pair.theirs, pair.mine)

        at: bytes | None = mine.start
        while at is not None and at != mine.end and not self.enough:
            part_bytes = max(LEAF_BYTES, size_bytes // FANOUT)
            parts = await splitter.split(pair.family, at, mine.end, part_bytes, FANOUT)

            # No short boundary parts this range, so splitting it again would never end.
            if len(parts) == 1 and (at, parts[0].end) == (mine.start, mine.end):
                await self._list(pair, mine.start, mine.end)
                return

            digests = await other.digests(pair.family, _bounds(parts), _limit(parts))
            await self._pause(sum(part.size_bytes for part in parts))

            for split, digested in zip(parts, digests, strict=True):
                if split != digested and not self.enough:
                    one, two = (split, digested) if splits_mine else (digested, split)
                    await self._descend(pair, one, two)

            at = parts[-1].end

    async def _list(self, pair: _Pair, start: bytes, end: bytes | None) -> None:
        """Names the keys of one small range, or of one that cannot be split."""
        before = len(self.differences)
        at = start
        while not self.enough:
            mine, theirs = await together(
                pair.mine.entries(pair.family, at, end), pair.theirs.entries(pair.family, at, end)
            )

            found, horizon = differing(mine, theirs)
            for key, kind in found:
                self._add(Difference(pair.node, pair.family, key, kind))

            if horizon is None:
                return

            # A listing stopped at its limit: go on after the last key that both say something about.
            at = horizon + b"\0"
            if len(at) > BOUNDARY_BYTES_MAX:
                # A boundary of this length cannot be sent, so the rest cannot be listed. The range is known
                # to differ; when no key of it was named, it is reported as a whole.
                if len(self.differences) == before:
                    self._add(Difference(pair.node, pair.family, horizon, DifferenceKind.RANGE))
                return


@dataclass(frozen=True, slots=True)
class _Pair:
    """The reference, and the other node that is compared with it."""

    mine: Contents
    theirs: Contents
    node: int
    family: int


def differing(mine: Entries, theirs: Entries) -> tuple[list[tuple[bytes, DifferenceKind]], bytes | None]:
    """What differs, as far as both listings go, and the last key that both tell about; None: all are told."""
    ends = [listing.entries[-1].key for listing in (mine, theirs) if not listing.whole]
    horizon = min(ends, default=None)

    ours = {entry.key: entry.digest for entry in mine.entries}
    others = {entry.key: entry.digest for entry in theirs.entries}

    found = []
    for key in sorted(ours.keys() | others.keys()):
        # A listing that stopped before a key does not say that the key is missing.
        if horizon is not None and key > horizon:
            break
        if key not in others:
            found.append((key, DifferenceKind.MISSING))
        elif key not in ours:
            found.append((key, DifferenceKind.EXTRA))
        elif ours[key] != others[key]:
            found.append((key, DifferenceKind.VALUE))
    return found, horizon


def _bounds(parts: Sequence[RangeDigest]) -> list[bytes | None]:
    assert all(one.end == two.start for one, two in pairwise(parts))
    return [parts[0].start, *(part.end for part in parts)]


def _limit(parts: Sequence[RangeDigest]) -> int:
    """A node that holds more than this in the range of one of these parts has other data there."""
    return max(DIGESTED_BYTES_MIN, *(2 * part.size_bytes for part in parts))
