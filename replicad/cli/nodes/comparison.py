"""Comparing nodes: at one sequence number, or not at all.

A primary and its replicas are compared at a mark that the primary writes, under any load. Other nodes
(directories, copies, replicas without their primary) are compared when they stand at one sequence number:
each holds a snapshot, and those behind take another one until all are alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from replicad.cli.nodes.node import LiveNode, NodeClient
from replicad.cli.nodes.sides import Side
from replicad.cli.output import json_bytes, show_bytes
from replicad.errors import ClosedError, NotFoundError, PeerTimeoutError, ReplyError, UnreachableError
from replicad.replication.verify.comparison import Comparison, DifferenceKind
from replicad.store.marks import Mark, MarkId
from replicad.units import show_seconds, show_size

PAUSE_SECONDS = 0.2
REPLY_SECONDS = 30.0
LEAST_SECONDS = 0.1
MARK_WAIT_SECONDS = 2.0
HELD_SECONDS = 3600

_TEXTS = {
    DifferenceKind.MISSING: "key {key} is in {reference} but not in {node}",
    DifferenceKind.EXTRA: "key {key} is in {node} but not in {reference}",
    DifferenceKind.VALUE: "key {key} has another value in {node} than in {reference}",
    DifferenceKind.RANGE: "keys from {key} on differ between {reference} and {node}",
    DifferenceKind.FAMILY_MISSING: "column family {key} is in {reference} but not in {node}",
    DifferenceKind.FAMILY_EXTRA: "column family {key} is in {node} but not in {reference}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDifference:
    """One difference between the reference and another node."""

    reference: str
    node: str
    family: str
    key: bytes
    kind: DifferenceKind

    def __str__(self) -> str:
        text = _TEXTS[self.kind].format(key=show_bytes(self.key), node=self.node, reference=self.reference)
        about_family = self.kind in (DifferenceKind.FAMILY_MISSING, DifferenceKind.FAMILY_EXTRA)
        return text if about_family or self.family == "default" else f"{text} (column family {self.family})"

    def document(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "node": self.node,
            "family": self.family,
            "key": json_bytes(self.key),
            "kind": self.kind.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOutcome:
    """`sequence` is where the nodes were compared; where they were compared in several steps, the last.

    Without `complete` the comparison ended at this many differences, and there may be more.
    """

    sequence: int
    compared_bytes: int
    differences: tuple[NamedDifference, ...]
    complete: bool

    @property
    def equal(self) -> bool:
        return not self.differences


def compare_nodes(
    nodes: Sequence[NodeClient],
    timeout_seconds: float,
    *,
    differences_max: int = 10,
    progress: Callable[[str], None] | None = None,
) -> ComparisonOutcome:
    """Compares all nodes with the primary among them, or with the first.

    Raises PeerTimeoutError when they could not be brought to one sequence number within `timeout_seconds`.
    """
    say = progress or line_on_terminal
    try:
        return asyncio.run(_compare(nodes, timeout_seconds, differences_max, say))
    finally:
        say("")


def late_because(document: Mapping[str, Any]) -> str | None:
    """Why a node that runs does not reach what its primary has within any time to wait; None: it does."""
    apply = document.get("apply") or {}
    if document.get("role") != "replica":
        return None
    if apply.get("paused"):
        return "is paused"
    if delay := apply.get("delay_seconds"):
        return f"applies {show_seconds(delay)} late"
    return None


def without_late(nodes: Sequence[NodeClient], seconds: float) -> tuple[list[NodeClient], dict[str, str]]:
    """The nodes that can be compared now, and why each of the others is left out. One that does not answer in
    time stays: comparing it says what is wrong."""
    be_patient(nodes, seconds)
    taken: list[NodeClient] = []
    late: dict[str, str] = {}
    for node in nodes:
        reason = None
        if isinstance(node, LiveNode):
            with contextlib.suppress(UnreachableError, ReplyError):
                reason = late_because(node.status())
        if reason is None:
            taken.append(node)
        else:
            late[node.name] = reason
    return taken, late


def order_repairs(nodes: Sequence[NodeClient], outcome: ComparisonOutcome) -> list[str]:
    """Has the running replicas that differ fetch their data again; their names.

    Raises ReplyError when one cannot: it is a primary, or follows nobody.
    """
    different = {found.node for found in outcome.differences}
    ordered = []
    for node in nodes:
        if node.name in different and isinstance(node, LiveNode):
            node.reconnect()
            node.client.call("REPLICAD.REPAIR")
            ordered.append(node.name)
    return ordered


async def _compare(
    nodes: Sequence[NodeClient], timeout_seconds: float, differences_max: int, say: Callable[[str], None]
) -> ComparisonOutcome:
    async def tell(size_bytes: int) -> None:
        say(f"compared {show_size(comparison.compared_bytes)}")

    comparison = Comparison(differences_max=differences_max, pause=tell)
    deadline = _Deadline(timeout_seconds)
    named: dict[int, str] = {}
    while True:
        before = comparison.at
        sides: list[Side] = []
        try:
            be_patient(nodes, min(REPLY_SECONDS, deadline.left))
            nodes, marked = await asyncio.to_thread(_reference_first, nodes)
            hold = _hold_mark if marked else _hold_snapshots
            sequence = await asyncio.to_thread(hold, nodes, sides, deadline, say)
            be_patient(nodes, REPLY_SECONDS)
            for side in reversed(sides):
                named |= await side.families()
            await comparison.run(sides[0], sides[1:])
            break
        except (NotFoundError, ClosedError, UnreachableError) as error:
            if comparison.at != before:
                deadline = _Deadline(timeout_seconds)
            elif deadline.over:
                raise PeerTimeoutError(f"the nodes could not be compared in time: {error}") from None
            say(f"once more: {error}")
            await asyncio.sleep(PAUSE_SECONDS)
            for node in nodes:
                await asyncio.to_thread(node.reconnect)
        finally:
            for side in sides:
                await asyncio.to_thread(side.release)
    differences = tuple(
        NamedDifference(
            reference=nodes[0].name,
            node=nodes[1 + found.node].name,
            family=named.get(found.family, str(found.family)),
            key=found.key,
            kind=found.kind,
        )
        for found in comparison.differences
    )
    return ComparisonOutcome(
        sequence=sequence,
        compared_bytes=comparison.compared_bytes,
        differences=differences,
        complete=comparison.finished,
    )


def be_patient(nodes: Sequence[NodeClient], seconds: float) -> None:
    """How long a reply may take: a node that does not answer must not outlast the whole time that was
    given."""
    for node in nodes:
        if isinstance(node, LiveNode):
            node.wait_at_most(max(LEAST_SECONDS, seconds))


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return time.monotonic() > self._at

    @property
    def left(self) -> float:
        return self._at - time.monotonic()

    def raise_if_over(self, node: NodeClient, sequence: int) -> None:
        """Says where the node stands instead of at `sequence`."""
        if self.over:
            reached = node.sequence()
            where = "has no data yet" if reached is None else f"stands at {reached}"
            raise PeerTimeoutError(
                f"{node.name} {where} and did not reach {sequence} within {self.seconds:g} s"
            )


def _reference_first(nodes: Sequence[NodeClient]) -> tuple[list[NodeClient], bool]:
    """The primary first and whether it can mark its log for all others, or the nodes as they are."""
    if not all(isinstance(node, LiveNode) for node in nodes):
        return list(nodes), False
    documents = [node.status() for node in nodes]
    roles = [document["role"] for document in documents]
    databases = {id for document in documents if (id := document.get("database_id")) is not None}
    if roles.count("primary") != 1 or len(databases) != 1:
        return list(nodes), False
    primary = nodes[roles.index("primary")]
    return [primary, *(node for node in nodes if node is not primary)], True


def _hold_mark(
    nodes: Sequence[NodeClient], sides: list[Side], deadline: _Deadline, say: Callable[[str], None]
) -> int:
    """Has the primary write a mark, and waits until every node holds its snapshot."""
    primary, *others = nodes
    assert isinstance(primary, LiveNode)
    id = MarkId(os.urandom(16))
    sequence = _write_mark(primary, id, deadline, say)
    sides.append(primary.side(id))
    for node in others:
        assert isinstance(node, LiveNode)
        side = node.side(id)
        while True:
            say(f"waiting for {node.name} to reach sequence number {sequence}")
            try:
                side.wait(int(max(0.0, min(MARK_WAIT_SECONDS, deadline.left)) * 1000))
                break
            except NotFoundError:
                # A node that is past the mark lost its snapshot: only another mark helps.
                if (reached := node.sequence()) is not None and reached >= sequence:
                    raise
                deadline.raise_if_over(node, sequence)
                if reached is None:
                    time.sleep(PAUSE_SECONDS)
        sides.append(side)
    return sequence


def _write_mark(primary: LiveNode, id: MarkId, deadline: _Deadline, say: Callable[[str], None]) -> int:
    """The mark's sequence number."""
    while True:
        try:
            return int(primary.client.call("REPLICAD.VERIFY", "MARK", id.hex(), HELD_SECONDS))
        except ReplyError as error:
            if error.code != "TRYAGAIN" or deadline.over:
                raise
            say(f"waiting for {primary.name}: {error}")
            time.sleep(PAUSE_SECONDS)


def _hold_snapshots(
    nodes: Sequence[NodeClient], sides: list[Side], deadline: _Deadline, say: Callable[[str], None]
) -> int:
    """Takes snapshots of all nodes until they are of one sequence number; one that is ahead keeps its own."""
    taken: dict[NodeClient, tuple[int, Side]] = {}
    with ThreadPoolExecutor(len(nodes)) as pool:
        while True:
            newest = max((sequence for sequence, _ in taken.values()), default=0)
            behind = [node for node in nodes if node not in taken or taken[node][0] < newest]
            if not behind:
                sides += [taken[node][1] for node in nodes]
                return newest
            for node in behind:
                if (held := taken.pop(node, None)) is not None:
                    held[1].release()
                while (reached := node.sequence()) is None or reached < newest:
                    deadline.raise_if_over(node, newest)
                    say(f"waiting for {node.name} to reach sequence number {newest}")
                    time.sleep(PAUSE_SECONDS)
            if taken and deadline.over:
                raise PeerTimeoutError(
                    f"the nodes kept changing for {deadline.seconds:g} s: writers do not pause"
                )
            taken |= zip(behind, pool.map(_hold_one, behind), strict=True)


def _hold_one(node: NodeClient) -> tuple[int, Side]:
    return node.hold(Mark(MarkId(os.urandom(16)), HELD_SECONDS))


def line_on_terminal(text: str) -> None:
    """Shows what verify waits for, where a person watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
