"""The C library's malloc, told that this process is ours alone.

glibc gives each thread an arena and keeps in each what its thread freed: what a compaction took once would
stay beside the budgets for ever. With one arena the next thread uses it again. An embedded database leaves
the allocator to its program; MALLOC_ARENA_MAX does the same there.
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
