"""The `[backup]` section: where a node's backups go, what is kept, and whether its log is archived.

target = "/var/backups/replicad"       # or a URL: s3://bucket/prefix
keep = 14                              # after a backup there, older ones go
archive_log = true                     # continuously, for `replicad backup restore --sequence` and `--time`
archive_seconds = 1.0                  # how old the newest durable batch may get before it is archived
catch_up_from = "/var/backups/replicad"  # a replica without its primary's log looks there first
keep_log_seconds = 2_592_000           # every moment since then can still be restored
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from replicad.backup.address import check_for_node
from replicad.backup.options import BackupEngineOptions
from replicad.errors import ConfigError, InvalidArgument
from replicad.options import GIB, check_numbers


@dataclass(frozen=True, kw_only=True)
class NodeBackupOptions:
    """Sizes in bytes, times in seconds, rates in bytes a second; None means no limit."""

    target: str | None = None
    """Where the node writes backups for which no target is named: a directory or a URL."""
    keep: int | None = None
    """How many backups stay there: after each new one, older ones are deleted."""
    max_background_operations: int = 4
    """How many files are copied at once."""
    read_bytes_per_second: float | None = None
    """Limit for reading from the database; for a replica that starts from a backup, from the target."""
    write_bytes_per_second: float | None = None
    """Limit for writing to the target; for a replica that starts from a backup, to its directory."""

    catch_up_from: str | None = None
    """A replica whose log is gone reads archived log at this target before it fetches a copy."""

    archive_log: bool = False
    """Copy the log to the target as it grows."""
    archive_seconds: float = 1.0
    """How old the newest durable batch may get before it is copied."""
    archive_hold_bytes_max: int = 4 * GIB
    """How much log that waits to be archived stays on the node because of it."""
    keep_log_seconds: float | None = None
    """Any moment within this time can be restored."""
    keep_log_backups: int | None = None
    """Any moment since this many backups ago can be restored."""

    LEAST: ClassVar[Mapping[str, float]] = {
        "archive_hold_bytes_max": 0,
        "read_bytes_per_second": 1,
        "write_bytes_per_second": 1,
    }

    def __post_init__(self) -> None:
        if self.archive_log and self.target is None:
            raise InvalidArgument("archive_log needs a target")
        for name in ("target", "catch_up_from"):
            if (where := getattr(self, name)) is not None:
                try:
                    check_for_node(where)
                except ConfigError as error:
                    raise InvalidArgument(f"{name}: {error}") from None
        check_numbers(self)
        self.engine_options()

    def engine_options(self) -> BackupEngineOptions:
        """Those of the engine that a node makes; raises InvalidArgument."""
        return BackupEngineOptions(
            max_background_operations=self.max_background_operations,
            read_bytes_per_second=self.read_bytes_per_second,
            write_bytes_per_second=self.write_bytes_per_second,
        )
