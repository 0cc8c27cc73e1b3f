"""Connections that outlive a question."""

from __future__ import annotations

from typing import Any

import pytest

from replicad.cli.nodes.kept import KeptNodes
from replicad.errors import UnreachableError


class Node:
    """It answers `answers` times, then its connection is broken."""

    name = "127.0.0.1:6380"

    def __init__(self, answers: int) -> None:
        self.answers, self.closed = answers, False

    def status(self) -> dict[str, Any]:
        if not self.answers:
            raise UnreachableError("127.0.0.1:6380: the node closed the connection")
        self.answers -= 1
        return {"role": "primary"}

    def close(self) -> None:
        self.closed = True


def kept(*nodes: Node) -> KeptNodes:
    left = list(nodes)
    return KeptNodes(lambda name, timeout_seconds: left.pop(0))  # type: ignore[arg-type, return-value]


def test_one_connection_serves_many_questions() -> None:
    """It is closed at the end."""
    node = Node(3)
    asks = kept(node)
    assert [asks.ask(":6380", 1).document for _ in range(3)] == [{"role": "primary"}] * 3
    asks.close()
    assert node.closed


def test_a_connection_that_broke_is_replaced_at_once() -> None:
    """A node that was started again is not shown as one that is away."""
    first, second = Node(1), Node(1)
    asks = kept(first, second)
    assert [asks.ask(":6380", 1).document for _ in range(2)] == [{"role": "primary"}] * 2
    assert first.closed


def test_a_node_that_is_away_is_an_error() -> None:
    """A new connection is not tried twice."""
    node = Node(0)
    with pytest.raises(UnreachableError):
        kept(node).ask(":6380", 1)
    assert node.closed
