"""Option classes, one per part: frozen, keyword-only, validated when made.

Sizes are bytes and times are seconds, as the last word of each name says.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from replicad.errors import InvalidArgument

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# The limits of the formats: part of the public contract.
KEY_BYTES_MAX = 64 * KIB
VALUE_BYTES_MAX = 64 * MIB
BATCH_BYTES_MAX = 128 * MIB
ANNOTATION_BYTES_MAX = 1 * MIB


def check_number(name: str, value: object, *, least: float | None = None, whole: bool = False) -> None:
    """Raises InvalidArgument, naming the option, for what is not a finite number of at least `least`, or
    above 0 without one; `whole`: no fraction either."""
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if is_number and not (isinstance(value, float) and not math.isfinite(value)):
        assert isinstance(value, int | float)
        if value > 0 if least is None else value >= least:
            return
    bound = "above 0" if least is None else f"of at least {least}"
    kind = "whole" if whole else "finite"
    raise InvalidArgument(f"{name} must be a {kind} number {bound}, not {value!r}")


def check_numbers(
    options: Any, *, may_be_zero: Collection[str] = (), least: Mapping[str, float] | None = None
) -> None:
    """`check_number` of each field whose default is a number, a whole one where that is; above 0 unless it is
    said here."""
    bounds = dict.fromkeys(may_be_zero, 0) | dict(least or {})
    for one in fields(options):
        if isinstance(one.default, int | float) and not isinstance(one.default, bool):
            whole = isinstance(one.default, int)
            check_number(one.name, getattr(options, one.name), least=bounds.get(one.name), whole=whole)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a database behaves on this node. Nothing here is replicated.

    `durability`: "sync" acknowledges a write after its fdatasync, "async" after its write(), with the
    fdatasync following in the background.
    """

    durability: Literal["sync", "async"] = "sync"
    wal_dir: Path | None = None
    create_if_missing: bool = True
    compression: Literal["lz4", "none"] = "lz4"

    # Memory.
    memtable_bytes: int = 64 * MIB
    memtables_max: int = 3
    block_cache_bytes: int = 256 * MIB
    """Blocks of tables, and the indexes and filters of those that were read, which stay."""

    # Tables.
    block_bytes: int = 16 * KIB
    bloom_bits_per_key: int = 10
    table_bytes: int = 64 * MIB
    level0_compaction_tables: int = 4
    level0_stall_tables: int = 20
    level_base_bytes: int = 256 * MIB
    level_multiplier: int = 10

    # Disk.
    disk_reserve_bytes: int = 128 * MIB
    """While less than this is free where the tables are, writes are refused: flush, manifest and archive
    need room to keep what was acknowledged. Looked at after each flush and each segment; 0 keeps none."""

    # Log.
    segment_bytes: int = 64 * MIB
    log_retention_bytes: int = 1 * GIB
    log_retention_seconds: float | None = None
    log_disk_floor_bytes: int = 256 * MIB
    """While less than this is free, archived log that nobody holds goes before its size or age would ask."""

    # Time.
    clock_jump_seconds_max: float = 600.0
    """A wall clock that goes further ahead than this of the time that passed is not believed: commits get
    the time before plus what passed, until it comes back or the database is opened again. 0 believes all."""

    families: Mapping[str, FamilyOptions] | None = field(default=None, hash=False)
    """By name, the column families whose tables are written otherwise. None: as at the last opening."""

    def __post_init__(self) -> None:
        if self.durability not in ("sync", "async"):
            raise InvalidArgument(f'durability is "sync" or "async", not {self.durability!r}')
        if self.compression not in ("lz4", "none"):
            raise InvalidArgument(f'compression is "lz4" or "none", not {self.compression!r}')
        if self.wal_dir is not None:
            object.__setattr__(self, "wal_dir", Path(self.wal_dir))
        if self.families is not None:
            object.__setattr__(self, "families", _families(self.families))
        least = {
            "memtable_bytes": 64 * KIB,
            "memtables_max": 2,
            "block_cache_bytes": 0,
            "block_bytes": 512,
            "bloom_bits_per_key": 0,
            "table_bytes": 16 * KIB,
            "level0_compaction_tables": 2,
            "level_base_bytes": 16 * KIB,
            "level_multiplier": 2,
            "segment_bytes": 4 * KIB,
            "log_retention_bytes": 0,
            "log_disk_floor_bytes": 0,
            "disk_reserve_bytes": 0,
            "clock_jump_seconds_max": 0,
        }
        check_numbers(self, least=least)
        if self.level0_stall_tables <= self.level0_compaction_tables:
            raise InvalidArgument("level0_stall_tables must be more than level0_compaction_tables")
        if self.log_retention_seconds is not None:
            check_number("log_retention_seconds", self.log_retention_seconds, least=0)


@dataclass(frozen=True, kw_only=True)
class FamilyOptions:
    """How one column family's tables are written, where it is not as `Options` says.

    Local to this node: neither the log nor the manifest holds them, but the options file does.
    """

    block_bytes: int | None = None
    bloom_bits_per_key: int | None = None
    compression: Literal["lz4", "none"] | None = None

    def __post_init__(self) -> None:
        self.over(Options())

    def over(self, options: Options) -> Options:
        """`options` with what is set here."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(options, **{name: value for name, value in chosen.items() if value is not None})


def _families(families: Mapping[str, Any]) -> dict[str, FamilyOptions]:
    """Each as it is, or made of its fields by name."""
    try:
        return {
            name: one if isinstance(one, FamilyOptions) else FamilyOptions(**one)
            for name, one in families.items()
        }
    except (TypeError, AttributeError) as error:
        raise InvalidArgument(f"families has the options of a column family by its name: {error}") from error
