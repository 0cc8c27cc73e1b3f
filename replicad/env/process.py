"""The process as a whole: which run of the operating system it belongs to, that it forks, that it ends."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from replicad.env import apart


@cache
def boot_id() -> str:
    """Random for each start of the system; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def after_fork_in_child(callback: Callable[[], None]) -> None:
    """Calls it in every child that this process forks, before anything else runs there."""
    os.register_at_fork(after_in_child=callback)


def at_exit(callback: Callable[[], None]) -> None:
    """Calls it when the interpreter ends, while its threads still run. No thread can be started any more
    then, so what would run apart runs in line."""

    def run() -> None:
        apart.belongs_here()
        callback()

    atexit.register(run)
