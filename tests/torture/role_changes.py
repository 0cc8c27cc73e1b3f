"""The operator: changes roles with the program's own verbs, one change at a time.

He never makes a primary of a node that may have missed an epoch: two promotions that do not know of each
other begin the same one, and then nodes stop and wait for a person. So after a change that did not end well
he waits until every node tells its epoch.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from tests.support.nodes.daemons import Daemon
from tests.torture.asking import status_of
from tests.torture.verbs import address_of, begin


class Operator:
    def __init__(self, nodes: Sequence[Daemon], say: Callable[..., None]) -> None:
        self._nodes = nodes
        self._say = say
        self._change: subprocess.Popen[str] | None = None
        self._newest_epoch = 0
        self._sure = True
        self.done = 0

    def switch_over(self) -> None:
        """From the primary to a replica, whichever it finds nearest."""
        found = self._survey()
        for node, status in found.items():
            is_newest = status["epoch"] == self._newest_epoch
            if status["standing"] == "primary" and is_newest and self._may_change():
                self._begin("switchover", address_of(node))
                return

    def promote(self, node: Daemon) -> None:
        """By force, and whether its primary is away or not."""
        status = self._survey().get(node)
        if status is None or status["standing"] not in ("following", "fenced"):
            return
        if status["epoch"] == self._newest_epoch and self._may_change():
            self._begin("promote", address_of(node), "--force")

    def look(self) -> None:
        """Whether the change that was begun has ended."""
        change = self._change
        if change is None or change.poll() is None:
            return
        self._change = None
        output = change.communicate()[0]
        self._sure = change.returncode == 0
        self.done += self._sure
        self._say("role change ended", code=change.returncode, says=output.strip()[-200:])

    @property
    def is_busy(self) -> bool:
        return self._change is not None

    def close(self) -> None:
        if self._change is not None:
            self._change.kill()
            self._change.communicate()

    def _may_change(self) -> bool:
        return self._change is None and self._sure

    def _survey(self) -> dict[Daemon, dict[str, object]]:
        found = {node: status for node in self._nodes if (status := status_of(node)) and status["position"]}
        epochs = [int(str(status["epoch"])) for status in found.values()]
        self._newest_epoch = max([self._newest_epoch, *epochs])
        if len(found) == len(self._nodes):
            self._sure = True
        return found

    def _begin(self, *arguments: str) -> None:
        self._say(" ".join(arguments))
        self._change = begin(*arguments)


def primary_of(nodes: Sequence[Daemon]) -> Daemon | None:
    """The one node that takes writes, if it is only one."""
    found = [node for node in nodes if (status := status_of(node)) and status["standing"] == "primary"]
    return found[0] if len(found) == 1 else None
