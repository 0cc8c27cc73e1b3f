"""The C library's malloc, told that this process is ours alone.

glibc gives each thread an arena and keeps in each what its thread freed. Memory that a compaction took once
would stay allocated for ever, on top of the budgets. With one arena the next thread uses it again. A program
that embeds the database chooses its allocator itself; MALLOC_ARENA_MAX does the same there.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def share_one_arena() -> None:
    """Before threads start. Does nothing where the C library is another one."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
