"""How a backup engine behaves: sizes in bytes, times in seconds, rates in bytes a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from replicad.options import KIB, MIB, check_numbers

METADATA_BYTES_MAX = 1 * MIB
DAY_SECONDS = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class BackupEngineOptions:
    """The same for every way of using a target; what is wrong is said when it is made.

    `sync`: what was written is on the medium before it counts (at a directory; an object store's upload has
    completed in any case). `share_table_files`: tables are stored once for all backups; without it every
    backup has its own. `destroy_old_data`: opening the engine deletes every backup at the target.
    """

    share_table_files: bool = True
    sync: bool = True
    destroy_old_data: bool = False

    max_background_operations: int = 4
    """Files that are copied, or verified, at the same time."""
    read_bytes_per_second: float | None = None
    write_bytes_per_second: float | None = None
    """Where the engine begins; its `read_limit` and `write_limit` can be changed at any time."""
    chunk_bytes: int = 1 * MIB
    progress_bytes: int = 4 * MIB
    """How much is copied between two calls of a progress callback."""

    grace_seconds: float = DAY_SECONDS
    """A create that has not been heard of for this long is over, for a collection of garbage."""

    LEAST: ClassVar[Mapping[str, float]] = {
        "chunk_bytes": 4 * KIB,
        "read_bytes_per_second": 1,
        "write_bytes_per_second": 1,
        "grace_seconds": 0,
    }

    def __post_init__(self) -> None:
        check_numbers(self)
