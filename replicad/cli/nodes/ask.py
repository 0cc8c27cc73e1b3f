"""The status of many nodes, asked at the same time. One that does not answer costs its deadline, once."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from replicad.cli.nodes.node import DirectoryNode, open_node
from replicad.errors import ConfigError, ReplicadError, UnreachableError, UsageError


@dataclass(frozen=True, kw_only=True)
class NodeAnswer:
    """A status document, or why there is none."""

    name: str
    document: dict[str, Any] | None = None
    error: Exception | None = None
    is_directory: bool = False


def ask_node(name: str, timeout_seconds: float) -> NodeAnswer:
    with contextlib.closing(open_node(name, timeout_seconds=timeout_seconds)) as node:
        is_directory = isinstance(node, DirectoryNode)
        return NodeAnswer(name=node.name, document=node.status(), is_directory=is_directory)


def ask_nodes(
    names: Sequence[str], timeout_seconds: float, ask: Callable[[str, float], NodeAnswer] = ask_node
) -> list[NodeAnswer]:
    """The answers in the order of the names; raises UsageError and ConfigError.

    Looking up a name has no time limit, and a node may answer byte by byte. So each node has a thread of its
    own, which is left behind when its time is over; it ends with the process.
    """
    answered: queue.SimpleQueue[tuple[int, NodeAnswer]] = queue.SimpleQueue()

    def answer(index: int, name: str) -> None:
        try:
            answered.put((index, ask(name, timeout_seconds)))
        except Exception as error:
            answered.put((index, NodeAnswer(name=name, error=error)))

    deadline = time.monotonic() + timeout_seconds
    for index, name in enumerate(names):
        threading.Thread(target=answer, args=(index, name), daemon=True, name=f"ask {name}").start()

    found: dict[int, NodeAnswer] = {}
    with contextlib.suppress(queue.Empty):
        while len(found) < len(names):
            index, one = answered.get(timeout=max(0.0, deadline - time.monotonic()))
            found[index] = one

    answers = [found.get(index) or _late(name, timeout_seconds) for index, name in enumerate(names)]
    for each in answers:
        # What the caller got wrong is not the state of a node, and neither is a bug.
        is_of_node = isinstance(each.error, ReplicadError | OSError | ValueError)
        if each.error is not None and (isinstance(each.error, UsageError | ConfigError) or not is_of_node):
            raise each.error
    return answers


def _late(name: str, timeout_seconds: float) -> NodeAnswer:
    return NodeAnswer(name=name, error=UnreachableError(f"{name}: no answer within {timeout_seconds:g} s"))
