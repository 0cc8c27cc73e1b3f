"""One client's replies, in the order of its commands, and who is told when held ones may go.

The kernel's queue holds the bytes (`kernels.ReplyQueue`): what is ready, and behind it what waits. It knows
neither sockets nor commands: the connection sends what `take` gives.
"""

from __future__ import annotations

from collections.abc import Callable

from replicad import kernels


def _nobody() -> None:
    """Stands where nobody wants to know."""


class ReplyQueue(kernels.ReplyQueue):
    """`on_release` is called whenever held replies became ready."""

    def __init__(self, holding: kernels.HeldQueues) -> None:
        super().__init__(holding)
        self.on_release: Callable[[], None] = _nobody

    def drop(self) -> None:
        """The client is gone: nobody takes what is held, or is told that it became ready."""
        super().drop()
        self.on_release = _nobody
