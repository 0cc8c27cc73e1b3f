"""Where runs that need no real disk keep their files: syncs cost nothing there."""

from __future__ import annotations

import shutil
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
FREE_BYTES_MIN = 1 << 30


def memory_directory() -> Path | None:
    """For `tempfile`'s `dir`; None, its default, where there is no room in memory."""
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free >= FREE_BYTES_MIN:
        return SHARED_MEMORY
    return None
