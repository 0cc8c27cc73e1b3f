"""The `[backup]` section: where a node's backups go, what is kept, and whether its log is archived.

target = "/var/backups/replicad"       # or a URL: s3://bucket/prefix
keep = 14                              # after a backup there, older ones go
archive_log = true                     # continuously, for `replicad backup restore --sequence` and `--time`
archive_seconds = 1.0                  # how old the newest durable batch may get before it is archived
catch_up_from = "/var/backups/replicad"  # a replica without its primary's log looks there first
keep_log_seconds = 2_592_000           # every moment since then can still be restored
"""

from __future__ import annotations

from dataclasses import dataclass

from replicad.backup.address import check_for_node
from replicad.backup.options import BackupEngineOptions
from replicad.errors import ConfigError, InvalidArgument
from replicad.options import GIB, check_number, check_numbers


@dataclass(frozen=True, kw_only=True)
class NodeBackupOptions:
    """Sizes in bytes, times in seconds, rates in bytes a second; None means no limit."""

    target: str | None = None
    keep: int | None = None
    max_background_operations: int = 4
    read_bytes_per_second: float | None = None
    write_bytes_per_second: float | None = None

    catch_up_from: str | None = None
    """A target whose archived log this node reads, as a replica that was away for too long, before it fetches
    a new copy."""

    archive_log: bool = False
    archive_seconds: float = 1.0
    archive_hold_bytes_max: int = 4 * GIB
    """Log that is not archived yet stays on the node, but no more than this because of it."""
    keep_log_seconds: float | None = None
    keep_log_backups: int | None = None

    def __post_init__(self) -> None:
        if self.archive_log and self.target is None:
            raise InvalidArgument("archive_log needs a target")
        for name in ("target", "catch_up_from"):
            if (where := getattr(self, name)) is not None:
                try:
                    check_for_node(where)
                except ConfigError as error:
                    raise InvalidArgument(f"{name}: {error}") from None
        check_numbers(self, may_be_zero=("archive_hold_bytes_max",))
        for name in ("keep", "keep_log_backups", "keep_log_seconds"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), whole=name != "keep_log_seconds")
        self.engine_options()

    def engine_options(self) -> BackupEngineOptions:
        """Those of the engine that a node makes; raises InvalidArgument."""
        return BackupEngineOptions(
            max_background_operations=self.max_background_operations,
            read_bytes_per_second=self.read_bytes_per_second,
            write_bytes_per_second=self.write_bytes_per_second,
        )
