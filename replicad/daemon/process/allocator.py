"""The C library's malloc, told that this process is ours alone.

glibc gives each thread an arena and keeps in each what its thread freed. Memory that a compaction took once
would stay allocated for ever, on top of the budgets. With one arena the next thread uses it again. A program
that embeds the database chooses its allocator itself; MALLOC_ARENA_MAX does the same there.

The buffers of a copy or a compaction are made and freed many times a second. By its own rules glibc gives
their pages back each time, and the kernel clears new ones: a third of what a primary spends on a copy.
"""

from __future__ import annotations

import contextlib
import ctypes

from replicad.options import MIB

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

KEPT_BYTES_MAX = 8 * MIB
"""Of free memory at the end of the arena, which is not given back."""
MAPPED_BYTES_MIN = 4 * MIB
"""What is larger has pages of its own, which go with it. Pieces of files and messages have at most 1 MiB."""


def share_one_arena() -> None:
    """Before threads start. Does nothing where the C library is another one."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES_MAX)
        libc.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES_MIN)
