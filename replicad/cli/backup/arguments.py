"""What the backup verbs share: their target, their engine, and how rates and spans are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replicad.errors import ConfigError, NotFoundError, UsageError

if TYPE_CHECKING:
    from replicad.backup.engine import BackupEngine
    from replicad.backup.read_only import BackupEngineReadOnly

TargetArgument = Annotated[
    str, typer.Argument(metavar="TARGET", help="A directory, or a URL such as s3://bucket/prefix.")
]
WORKERS = 4
WorkersOption = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, help="Files that are copied or read at once.")
]
RateOption = Annotated[
    str | None,
    typer.Option("--rate", metavar="SIZE", help="At most this many bytes a second, for example 20M."),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="HEX",
        help="Of this database: its id or the beginning of it, as `replicad backup list` shows it.",
    ),
]
IdArgument = Annotated[int, typer.Argument(metavar="ID", min=1, help="As `replicad backup list` shows it.")]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_rate(text: str | None) -> float | None:
    """Bytes a second.

    >>> parse_rate("1.5M")
    1572864.0
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None or not float(match[1]):
        raise UsageError(f"{text!r} is not a rate: write bytes a second, for example 500K or 20M")
    return float(match[1]) * _UNITS[match[2]]


def parse_span(text: str | None) -> float | None:
    """Seconds.

    >>> parse_span("36h")
    129600.0
    """
    if text is None:
        return None
    match = _SPAN.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a span of time: write 90s, 15m, 36h, 7d or 4w")
    return float(match[1]) * _SECONDS[match[2]]


def check_target(target: str, *, new: bool = False) -> None:
    """Raises UsageError for what is not the name of a target, and NotFoundError for a directory that is not
    there."""
    from replicad.backup.address import check_outlives, parse_target

    try:
        address = parse_target(target)
        check_outlives(target)
    except ConfigError as error:
        raise UsageError(str(error)) from None
    if not new and isinstance(address, Path) and not address.exists():
        raise NotFoundError(f"{target} does not exist")


def open_engine(
    target: str, *, workers: int = WORKERS, rate: str | None = None, new: bool = False
) -> BackupEngine:
    """An engine that may change the target, which with `new` need not be there yet."""
    from replicad.backup.engine import BackupEngine
    from replicad.backup.options import BackupEngineOptions

    check_target(target, new=new)
    options = BackupEngineOptions(max_background_operations=workers, read_bytes_per_second=parse_rate(rate))
    return BackupEngine(target, options)


def open_reading(target: str, *, workers: int = WORKERS, rate: str | None = None) -> BackupEngineReadOnly:
    """An engine that only reads."""
    from replicad.backup.options import BackupEngineOptions
    from replicad.backup.read_only import BackupEngineReadOnly

    check_target(target)
    options = BackupEngineOptions(max_background_operations=workers, read_bytes_per_second=parse_rate(rate))
    return BackupEngineReadOnly(target, options)


def unreadable_after(engine: BackupEngineReadOnly, id: int) -> list[int]:
    """Backups newer than `id`, the newest that can be read; each is reported on stderr, because a
    request for the latest meant one of those."""
    from replicad.cli.output import print_error

    newer = {other: error for other, error in engine.get_corrupted_backups().items() if other > id}
    for other, error in sorted(newer.items()):
        print_error(f"backup {other} cannot be read ({error}); {id} is the newest that can")
    return sorted(newer)
