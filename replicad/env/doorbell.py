"""Wakes an event loop from a thread that does not hold the interpreter's lock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress


class Doorbell:
    """A number of eight bytes that is written to `descriptor` has `heard` called on the loop, soon.

    Made on the loop's thread; `close` may be called in any.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, heard: Callable[[], None]) -> None:
        self._loop = loop
        self._heard = heard
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add_reader(self.descriptor, self._rung)

    def close(self) -> None:
        """Nobody rings any more."""
        # A descriptor must not be closed while the loop watches it.
        with suppress(RuntimeError):  # The loop was closed, and watches nothing.
            self._loop.call_soon_threadsafe(self._remove)
            return
        os.close(self.descriptor)

    def _remove(self) -> None:
        self._loop.remove_reader(self.descriptor)
        os.close(self.descriptor)

    def _rung(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        self._heard()
