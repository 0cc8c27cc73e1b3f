"""Comparing nodes: at one sequence number, or not at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from replicad.cli.node import Node
from replicad.cli.output import show_bytes
from replicad.errors import PeerTimeoutError

PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Agreement:
    """The digests of all nodes at one sequence number, in the order of the nodes."""

    sequence: int
    digests: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return len(set(self.digests)) == 1


def agreed_digest(
    nodes: Sequence[Node], timeout_seconds: float, progress: Callable[[str], None] | None = None
) -> Agreement:
    """Takes digests of all nodes until they are of one sequence number; raises PeerTimeoutError.

    A node that is ahead keeps its digest until the others arrive there, so only those behind work again.
    """
    say = progress or _line_on_terminal
    deadline = time.monotonic() + timeout_seconds
    taken: dict[Node, tuple[int, str]] = {}
    with ThreadPoolExecutor(len(nodes)) as pool:
        while True:
            newest = max((sequence for sequence, _ in taken.values()), default=0)
            behind = [node for node in nodes if node not in taken or taken[node][0] < newest]
            if not behind:
                say("")
                return Agreement(newest, tuple(taken[node][1] for node in nodes))
            for node in behind:
                while (reached := node.sequence()) is None or reached < newest:
                    if time.monotonic() > deadline:
                        where = "has no data yet" if reached is None else f"stands at {reached}"
                        raise PeerTimeoutError(
                            f"{node.name} {where} and did not reach {newest} within {timeout_seconds:g} s"
                        )
                    say(f"waiting for {node.name} to reach sequence number {newest}")
                    time.sleep(PAUSE_SECONDS)
            if taken and time.monotonic() > deadline:
                raise PeerTimeoutError(
                    f"the nodes kept changing for {timeout_seconds:g} s: writers do not pause"
                )
            say("reading all data")
            taken |= zip(behind, pool.map(lambda node: node.digest(), behind), strict=True)


def first_difference(nodes: Sequence[Node]) -> str:
    """The lowest key that not all nodes hold alike, told in one line."""
    reference, *others = nodes
    differences = [found for other in others if (found := _difference(reference, other)) is not None]
    if not differences:
        return (
            "the default column family is alike: the difference is in another one, "
            "or writers changed the data since"
        )
    return min(differences)[1]


def _difference(left: Node, right: Node) -> tuple[bytes, str] | None:
    one, two = left.pairs(), right.pairs()
    while True:
        a, b = next(one, None), next(two, None)
        if a == b:
            if a is None:
                return None
            continue
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None
            return a[0], f"key {show_bytes(a[0])} is in {left.name} but not in {right.name}"
        if a is None or b[0] < a[0]:
            return b[0], f"key {show_bytes(b[0])} is in {right.name} but not in {left.name}"
        return a[0], f"key {show_bytes(a[0])} has another value in {left.name} than in {right.name}"


def _line_on_terminal(text: str) -> None:
    """Shows what verify waits for, where a person watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
