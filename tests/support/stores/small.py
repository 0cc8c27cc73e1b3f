"""Small databases for tests: little memory, little tables, so that everything happens soon."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from replicad import Options

SMALL: dict[str, Any] = {
    "memtable_bytes": 64 * 1024,
    "block_cache_bytes": 1 << 20,
    "block_bytes": 1024,
    "table_bytes": 32 * 1024,
    "level0_compaction_tables": 2,
    "level_base_bytes": 64 * 1024,
    "level_multiplier": 4,
    "segment_bytes": 32 * 1024,
}


def small_options(**changes: Any) -> Options:
    """Sizes that flush, rotate and compact within a few hundred writes."""
    return Options(**{**SMALL, "durability": "async", **changes})


def as_after_kill(source: Path, target: Path) -> Path:
    """What a kill -9 of the process that has `source` open would leave: the files as they are now.

    Copying is not done in a moment, so a copy during which tables or manifest changed is thrown away.
    """
    for _ in range(50):
        try:
            before = _store_files(source)
            shutil.copytree(source, target)
            if _store_files(source) == before:
                return target
        except (shutil.Error, FileNotFoundError):
            pass
        shutil.rmtree(target, ignore_errors=True)
        time.sleep(0.005)
    raise AssertionError(f"{source} changes too fast to be copied")


def _store_files(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir() if path.is_file()}


def fill(database: Any, count: int, *, start: int = 0, value: bytes = b"v" * 100) -> None:
    for number in range(start, start + count):
        database.put(b"key-%06d" % number, value + b"-%d" % number)
