"""Comparing linked primaries: the same keys and values in the families that are linked, while clients write.

Their logs are different, so no sequence number is the same on both. What differs in two snapshots may be on
its way. It is a difference once every node has heard of all that the others wrote before, and the key has
the same two values still:

    snapshots ──compare──> keys that differ ──wait: all have arrived──> snapshots ──> equal: it was on its way
        ^                                                                            changed: look again
        └─────────────────────────────────── look again ────────────────────────────  the same: a difference
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from replicad.cli.nodes.comparison import (
    HELD_SECONDS,
    REPLY_SECONDS,
    ComparisonOutcome,
    NamedDifference,
    be_patient,
)
from replicad.cli.nodes.node import LiveNode, NodeClient
from replicad.cli.nodes.sides import Side
from replicad.errors import PeerTimeoutError, ReplyError, UnreachableError, UsageError
from replicad.replication.verify.comparison import Comparison, Difference, DifferenceKind
from replicad.store.marks import Mark, MarkId
from replicad.store.ranges import Entries, RangeDigest

PAUSE_SECONDS = 0.2
LOOKED_AT_ONCE = 1000
"""Keys that differ, before it is asked whether they are on their way."""


def are_linked(nodes: Sequence[NodeClient], timeout_seconds: float) -> bool:
    """Whether these are running primaries of different databases. A node that does not answer in time may be
    anything."""
    if not all(isinstance(node, LiveNode) for node in nodes):
        return False
    be_patient(nodes, timeout_seconds)
    try:
        documents = [node.status() for node in nodes]
    except (UnreachableError, ReplyError):
        return False
    databases = {document.get("database_id") for document in documents}
    return len(databases) == len(nodes) and all(document["role"] == "primary" for document in documents)


def compare_linked(
    nodes: Sequence[NodeClient], timeout_seconds: float, *, differences_max: int, say: Callable[[str], None]
) -> ComparisonOutcome:
    """Raises UsageError for primaries that are not linked, or whose links leave something out;
    PeerTimeoutError when they do not hear of each other, or keys keep changing, for `timeout_seconds`."""
    live = [node for node in nodes if isinstance(node, LiveNode)]
    be_patient(live, REPLY_SECONDS)
    try:
        return asyncio.run(_LinkedComparison(live, timeout_seconds, differences_max, say).run())
    finally:
        say("")


class FamilySide:
    """Of one node, the linked families, under numbers that all nodes have."""

    def __init__(self, side: Side, ids: Sequence[int], names: Sequence[str]) -> None:
        self._side = side
        self._ids = ids
        self._names = names

    async def families(self) -> dict[int, str]:
        return dict(enumerate(self._names))

    async def split(
        self, family: int, start: bytes, end: bytes | None, part_bytes: int, parts_max: int
    ) -> list[RangeDigest]:
        return await self._side.split(self._ids[family], start, end, part_bytes, parts_max)

    async def digests(self, family: int, bounds: Sequence[bytes | None], bytes_max: int) -> list[RangeDigest]:
        return await self._side.digests(self._ids[family], bounds, bytes_max)

    async def entries(self, family: int, start: bytes, end: bytes | None) -> Entries:
        return await self._side.entries(self._ids[family], start, end)

    async def digest_of(self, family: int, key: bytes) -> bytes | None:
        """None: the key is not there."""
        entries = (await self.entries(family, key, key + b"\0")).entries
        return entries[0].digest if entries else None

    def release(self) -> None:
        self._side.release()


class _Looked(NamedTuple):
    """One key on two nodes."""

    difference: Difference
    digests: tuple[bytes | None, bytes | None]

    @property
    def are_equal(self) -> bool:
        return self.digests[0] == self.digests[1]


class _LinkedComparison:
    def __init__(
        self,
        nodes: Sequence[LiveNode],
        timeout_seconds: float,
        differences_max: int,
        say: Callable[[str], None],
    ) -> None:
        self._nodes = nodes
        self._timeout_seconds = timeout_seconds
        self._differences_max = differences_max
        self._say = say
        self._names = _linked_names(nodes)

    async def run(self) -> ComparisonOutcome:
        found: list[Difference] = []
        pass_ = Comparison(differences_max=LOOKED_AT_ONCE)
        compared_bytes = 0
        while True:
            at = pass_.at
            sides = await asyncio.to_thread(self._hold)
            try:
                await pass_.run(sides[0], sides[1:])
                doubtful = [await self._look(sides, each) for each in pass_.differences]
                clocks = [_clock(node) for node in self._nodes]
            finally:
                await asyncio.to_thread(_release, sides)
            found += await self._confirmed(doubtful, clocks)
            compared_bytes += pass_.compared_bytes
            if pass_.finished or len(found) >= self._differences_max:
                break
            if pass_.at == at and not found:
                self._say("too much is on its way: once more")
            again = Comparison(differences_max=LOOKED_AT_ONCE)
            again.at, pass_ = pass_.at, again
        return ComparisonOutcome(
            sequence=int(self._nodes[0].sequence() or 0),
            compared_bytes=compared_bytes,
            differences=tuple(map(self._named, dict.fromkeys(found))),
            complete=pass_.finished,
        )

    async def _confirmed(self, doubtful: Sequence[_Looked], clocks: Sequence[int]) -> list[Difference]:
        """Those that are not on their way."""
        deadline = time.monotonic() + self._timeout_seconds
        found: list[Difference] = []
        while doubtful:
            await asyncio.to_thread(self._wait_for_arrival, clocks, deadline)
            sides = await asyncio.to_thread(self._hold)
            try:
                looked = [await self._look(sides, each.difference) for each in doubtful]
                clocks = [_clock(node) for node in self._nodes]
            finally:
                await asyncio.to_thread(_release, sides)
            pairs = zip(doubtful, looked, strict=True)
            still = [(before, now) for before, now in pairs if not now.are_equal]
            found += [now.difference for before, now in still if before.digests == now.digests]
            doubtful = [now for before, now in still if before.digests != now.digests]
            if doubtful and time.monotonic() > deadline:
                seconds = f"{self._timeout_seconds:g} s"
                raise PeerTimeoutError(
                    f"{len(doubtful)} keys kept changing for {seconds}: writers do not pause"
                )
        return found

    def _hold(self) -> list[FamilySide]:
        held: list[FamilySide] = []
        for node in self._nodes:
            ids = node.families()
            _, side = node.hold(Mark(MarkId(os.urandom(16)), HELD_SECONDS))
            held.append(FamilySide(side, [ids[name] for name in self._names], self._names))
        return held

    async def _look(self, sides: Sequence[FamilySide], difference: Difference) -> _Looked:
        family, key = difference.family, difference.key
        mine = await sides[0].digest_of(family, key)
        theirs = await sides[1 + difference.node].digest_of(family, key)
        if mine is None:
            kind = DifferenceKind.EXTRA
        else:
            kind = DifferenceKind.MISSING if theirs is None else DifferenceKind.VALUE
        return _Looked(Difference(difference.node, family, key, kind), (mine, theirs))

    def _wait_for_arrival(self, clocks: Sequence[int], deadline: float) -> None:
        """Until every node has heard from all others that their clock is past these times."""
        own = [_own_database(node) for node in self._nodes]
        for node in self._nodes:
            self._say(f"waiting until {node.name} has what the others wrote")
            while (behind := self._behind(node, own, clocks)) is not None:
                if time.monotonic() > deadline:
                    raise PeerTimeoutError(
                        f"{node.name} did not get what {behind} wrote within {self._timeout_seconds:g} s: "
                        f"replicad link list {node.name} says why"
                    )
                time.sleep(PAUSE_SECONDS)

    def _behind(self, node: LiveNode, own: Sequence[str], clocks: Sequence[int]) -> str | None:
        heard = {row["database"]: row["frontier_us"] for row in _members(node)}
        for other, database, clock_us in zip(self._nodes, own, clocks, strict=True):
            if other is not node and heard.get(database, 0) < clock_us:
                return other.name
        return None

    def _named(self, found: Difference) -> NamedDifference:
        return NamedDifference(
            reference=self._nodes[0].name,
            node=self._nodes[1 + found.node].name,
            family=self._names[found.family],
            key=found.key,
            kind=found.kind,
        )


def _linked_names(nodes: Sequence[LiveNode]) -> list[str]:
    """The families that are linked on all of them."""
    linked: set[str] | None = None
    for node in nodes:
        families = set(_asked(node, "FAMILIES"))
        if not families:
            raise UsageError(f"{node.name} has another database and no links: there is nothing to compare")
        for row in _asked(node, "LIST"):
            if row.get("prefixes"):
                raise UsageError(
                    f"link {row['name']} of {node.name} carries only some keys: the others are different"
                )
        linked = families if linked is None else linked & families
    if not linked:
        raise UsageError("the nodes have no linked family in common: there is nothing to compare")
    return sorted(linked)


def _asked(node: LiveNode, subcommand: str) -> Any:
    return json.loads(node.client.call("REPLICAD.LINK", subcommand))


def _members(node: LiveNode) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _asked(node, "MEMBERS")
    return rows


def _own(node: LiveNode) -> dict[str, Any]:
    return next(row for row in _members(node) if row["is_this"])


def _own_database(node: LiveNode) -> str:
    return str(_own(node)["database"])


def _clock(node: LiveNode) -> int:
    """No stamp that is made later has this time."""
    return int(_own(node)["frontier_us"])


def _release(sides: Sequence[FamilySide]) -> None:
    for side in sides:
        side.release()
