"""How results are shown: plain text for people, JSON for scripts, bytes in a form that loses nothing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from replicad.cli import streams

SHOWN_BYTES_MAX = 64
_SURROGATE = re.compile("[\ud800-\udfff]")
_NEVER_SECONDS = 1e9
"""What nodes show at most for a time that is still left."""
_TIME_END_US = 253_402_300_800_000_000  # the year 10000


def show_bytes(data: bytes, limit: int | None = SHOWN_BYTES_MAX) -> str:
    r"""Bytes as readable text: UTF-8 stays, the rest becomes \xNN, and a long one is cut with its length.

    >>> show_bytes(b"user:7\n")
    'user:7\\n'
    """
    cut = data if limit is None else data[:limit]
    shown = "".join(_show_character(character) for character in cut.decode("utf-8", "surrogateescape"))
    return shown if len(cut) == len(data) else f"{shown}… ({len(data)} bytes)"


def _show_character(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() and character != "\\" else ascii(character)[1:-1]


def show_size(size_bytes: float) -> str:
    """A size for people, in binary units.

    >>> show_size(1536)
    '1.5 KiB'
    """
    if round(size_bytes) < 1024:
        return f"{size_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size_bytes /= 1024
        if round(size_bytes, 1) < 1024:
            return f"{size_bytes:.1f} {unit}"
    size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def show_seconds(seconds: float) -> str:
    """A span of time for people; a node that expects something in 1e9 seconds does not expect it.

    >>> show_seconds(95), show_seconds(0.25), show_seconds(508_000), show_seconds(1e9)
    ('1m35s', '0.25s', '5d21h', 'never')
    """
    if seconds < 0:
        shown = show_seconds(-seconds)
        return shown if shown == "0s" else f"-{shown}"
    if seconds >= _NEVER_SECONDS:
        return "never"
    if seconds < 9.995:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"

    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def show_count(count: int, one: str, many: str | None = None) -> str:
    """How many of something; `many` is for a word that takes more than an s.

    >>> show_count(1, "file"), show_count(0, "file"), show_count(2, "batch", "batches")
    ('1 file', '0 files', '2 batches')
    """
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"


def show_time(time_us: int) -> str:
    """A wall-clock time in UTC, with microseconds; the bare number when no calendar has it."""
    if not 0 <= time_us < _TIME_END_US:
        return f"{time_us} µs"
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def json_bytes(data: bytes) -> str | dict[str, str]:
    """A JSON string when the bytes are UTF-8, {"hex": …} when they are not."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": data.hex()}


def print_json(document: Any) -> None:
    r"""One document on one line, flushed, so that a pipe sees it at once.

    A byte of a file's name that is not UTF-8 becomes the escape of its surrogate: \udcff for \xff.
    """
    encoding = sys.stdout.encoding or "utf-8"  # A stream in memory has none.
    is_utf_8 = encoding.lower().replace("-", "") == "utf8"
    text = json.dumps(document, ensure_ascii=not is_utf_8, separators=(",", ":"), default=_other)
    print(_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text), flush=True)


def _other(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_fields(fields: Mapping[str, Any], indent: int = 0) -> None:
    """Aligned `name  value` lines."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        print(f"{' ' * indent}{name.replace('_', ' '):<{width}}  {value}")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], indent: int = 0) -> None:
    """Columns that align, for terminals and pipes alike."""
    lines = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        print(" " * indent + cells.rstrip())


def print_error(message: str) -> None:
    """One line on stderr, whatever the message holds; nothing where stderr cannot be written."""
    try:
        print(f"replicad: {' '.join(message.split())}", file=sys.stderr, flush=True)
    except OSError:
        streams.drop(sys.stderr)
