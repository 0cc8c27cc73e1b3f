"""Many nodes are asked at the same time, and one that does not answer costs its deadline once."""

from __future__ import annotations

import threading

import pytest

from replicad.cli.nodes.ask import NodeAnswer, ask_nodes
from replicad.errors import UnreachableError, UsageError


def test_all_are_asked_at_the_same_time() -> None:
    """Each waits for all others: asked in turn, none would answer."""
    together = threading.Barrier(8, timeout=30)

    def ask(name: str, timeout_seconds: float) -> NodeAnswer:
        together.wait()
        return NodeAnswer(name=name, document={})

    names = [f":{port}" for port in range(8)]
    assert [answer.name for answer in ask_nodes(names, 60, ask)] == names


def test_a_node_that_does_not_answer_is_left_behind() -> None:
    """The others are there, and it has its reason."""
    never = threading.Event()

    def ask(name: str, timeout_seconds: float) -> NodeAnswer:
        if name == "silent":
            never.wait()
        return NodeAnswer(name=name, document={"a": 1})

    try:
        first, silent, last = ask_nodes(["first", "silent", "last"], 1, ask)
    finally:
        never.set()
    assert first.document == last.document == {"a": 1}
    assert silent.document is None
    assert str(silent.error) == "silent: no answer within 1 s"


def test_what_goes_wrong_with_one_node_is_its_answer() -> None:
    """A wrong command line and a bug are not the state of a node."""
    errors = {"down": UnreachableError("down: no"), "wrong": UsageError("no node"), "bug": KeyError("x")}

    def ask(name: str, timeout_seconds: float) -> NodeAnswer:
        raise errors[name]

    (down,) = ask_nodes(["down"], 60, ask)
    assert down.error is errors["down"]
    with pytest.raises(UsageError):
        ask_nodes(["down", "wrong"], 60, ask)
    with pytest.raises(KeyError):
        ask_nodes(["down", "bug"], 60, ask)
