"""Option classes, one per part: frozen, keyword-only, validated when made.

Sizes are bytes and times are seconds, as the last word of each name says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from replicad.errors import InvalidArgument

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

NUMBER_MAX = (1 << 63) - 1
"""Of any option: more is a mistake, and would not fit what it is reckoned with."""

# The limits of the formats: part of the public contract.
KEY_BYTES_MAX = 64 * KIB
VALUE_BYTES_MAX = 64 * MIB
BATCH_BYTES_MAX = 128 * MIB
ANNOTATION_BYTES_MAX = 1 * MIB


def check_number(name: str, value: object, *, least: float | None = None, whole: bool = False) -> None:
    """Raises InvalidArgument, naming the option, for what is not a finite number of at least `least`, or
    above 0 without one, and at most NUMBER_MAX; `whole`: no fraction either."""
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if is_number and not (isinstance(value, float) and not math.isfinite(value)):
        assert isinstance(value, int | float)
        if value > NUMBER_MAX:
            raise InvalidArgument(f"{name} must be at most {NUMBER_MAX}")
        if value > 0 if least is None else value >= least:
            return
    bound = "above 0" if least is None else f"of at least {least}"
    kind = "whole" if whole else "finite"
    raise InvalidArgument(f"{name} must be a {kind} number {bound}, not {value!r}")


def number_type(one: Field[Any]) -> type[int] | type[float] | None:
    """What kind of number a field of options takes; None for anything else."""
    if found := re.search(r"\b(int|float)\b", str(one.type)):
        return int if found[0] == "int" else float
    return None


def check_numbers(options: Any) -> None:
    """`check_number` of each field that is a number, if it is set: above 0, unless the class has another
    bound for it in `LEAST`."""
    bounds: Mapping[str, float] = getattr(options, "LEAST", {})
    for one in fields(options):
        kind, value = number_type(one), getattr(options, one.name)
        if kind is not None and not (value is None and one.default is None):
            check_number(one.name, value, least=bounds.get(one.name), whole=kind is int)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a database behaves on this node. Nothing here is replicated."""

    durability: Literal["sync", "async"] = "sync"
    """"sync" answers a write after its fdatasync, "async" after its write(), with the fdatasync following in
    the background."""
    wal_dir: Path | None = None
    """A separate directory for the log. The directory of another database, such as a copy's original, is
    refused."""
    create_if_missing: bool = True
    """Make a database where there is none."""
    compression: Literal["lz4", "none"] = "lz4"
    """Of the blocks of tables."""

    # Memory.
    memtable_bytes: int = 64 * MIB
    """How much is collected in a memtable before it becomes a table."""
    memtables_max: int = 3
    """How many memtables may wait to be written before writes wait."""
    block_cache_bytes: int = 256 * MIB
    """Blocks of tables, and the indexes and filters of those that were read, which stay."""

    # Tables.
    block_bytes: int = 16 * KIB
    """How much of a table is read and compressed at once."""
    bloom_bits_per_key: int = 10
    """Of the filters of tables; 0 makes no filters."""
    table_bytes: int = 64 * MIB
    """How large a compaction makes tables. A replica fetches a copy of at most 1,000,000 files."""
    level0_compaction_tables: int = 4
    """When level 0 has this many tables, they are merged into the next level."""
    level0_stall_tables: int = 20
    """When level 0 has this many tables, writes wait; more than level0_compaction_tables."""
    level_base_bytes: int = 256 * MIB
    """The size of level 1."""
    level_multiplier: int = 10
    """How much larger each level is than the one before."""

    # Disk.
    disk_reserve_bytes: int = 128 * MIB
    """While less than this is free where the tables are, writes are refused. Flush, manifest and archive need
    room to keep what was acknowledged. Looked at after each flush and each segment; 0 keeps none."""

    # Log.
    segment_bytes: int = 64 * MIB
    """The size of one file of the log."""
    log_retention_bytes: int = 1 * GIB
    """How much archived log is kept though nobody needs it."""
    log_retention_seconds: float | None = None
    """Archived log older than this is removed earlier."""
    log_disk_floor_bytes: int = 256 * MIB
    """While less than this is free, archived log that nobody holds goes before its size or age would ask."""

    # Time.
    clock_jump_seconds_max: float = 600.0
    """A wall clock that gets further ahead of the elapsed time than this is not believed. Commits get the
    time before plus what passed, until it comes back or the database is opened again. 0 believes any
    clock."""

    families: Mapping[str, FamilyOptions] | None = field(default=None, hash=False)
    """By name, the column families whose tables are written otherwise. None: as at the last opening."""

    LEAST: ClassVar[Mapping[str, float]] = {
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
        "log_retention_seconds": 0,
    }
    """The least values; without one here a number must be above 0."""

    def __post_init__(self) -> None:
        if self.durability not in ("sync", "async"):
            raise InvalidArgument(f'durability is "sync" or "async", not {self.durability!r}')
        if self.compression not in ("lz4", "none"):
            raise InvalidArgument(f'compression is "lz4" or "none", not {self.compression!r}')
        if self.wal_dir is not None:
            object.__setattr__(self, "wal_dir", Path(self.wal_dir))
        if self.families is not None:
            object.__setattr__(self, "families", _families(self.families))
        check_numbers(self)
        if self.level0_stall_tables <= self.level0_compaction_tables:
            raise InvalidArgument("level0_stall_tables must be more than level0_compaction_tables")


@dataclass(frozen=True, kw_only=True)
class FamilyOptions:
    """How one column family's tables are written, where it is not as `Options` says.

    Local to this node: neither the log nor the manifest holds them, but the options file does.
    """

    LEAST: ClassVar[Mapping[str, float]] = Options.LEAST

    block_bytes: int | None = None
    """How much of a table is read and compressed at once, where it is not as in [store]."""
    bloom_bits_per_key: int | None = None
    """Of the filters of tables, where it is not as in [store]; 0 makes no filters."""
    compression: Literal["lz4", "none"] | None = None
    """Of the blocks of tables, where it is not as in [store]."""

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
