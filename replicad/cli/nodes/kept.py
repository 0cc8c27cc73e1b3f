"""Connections that are kept from one question to the next."""

from __future__ import annotations

from collections.abc import Callable

from replicad.cli.nodes.ask import NodeAnswer
from replicad.cli.nodes.node import DirectoryNode, NodeClient, open_node
from replicad.errors import UnreachableError


class KeptNodes:
    """Asks nodes again and again, for `ask_nodes`.

    A connection belongs to one thread: it is taken out while it is used, and comes back after its answer. So
    a thread that was left behind disturbs no other.
    """

    def __init__(self, open_one: Callable[[str, float], NodeClient] | None = None) -> None:
        self._open = open_one or _open
        self._idle: dict[str, NodeClient] = {}

    def ask(self, name: str, timeout_seconds: float) -> NodeAnswer:
        kept = self._idle.pop(name, None)
        if kept is not None:
            try:
                return self._asked(name, kept)
            except UnreachableError:
                # It was started again, or exchanged its data: a new connection says whether it is there.
                pass
        return self._asked(name, self._open(name, timeout_seconds))

    def close(self) -> None:
        while self._idle:
            self._idle.popitem()[1].close()

    def _asked(self, name: str, node: NodeClient) -> NodeAnswer:
        try:
            document = node.status()
        except BaseException:
            node.close()
            raise
        answer = NodeAnswer(name=node.name, document=document, is_directory=isinstance(node, DirectoryNode))
        if (other := self._idle.pop(name, None)) is not None:
            other.close()
        self._idle[name] = node
        return answer


def _open(name: str, timeout_seconds: float) -> NodeClient:
    return open_node(name, timeout_seconds=timeout_seconds)
