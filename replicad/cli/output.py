"""How results are shown: plain text for people, JSON for scripts, bytes in a form that loses nothing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from replicad.cli import streams

SHOWN_BYTES_MAX = 64
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(rb"\\(?:x[0-9a-fA-F]{2}|[\\nrt])")
_ESCAPED = {rb"\\": b"\\", rb"\n": b"\n", rb"\r": b"\r", rb"\t": b"\t"}


def show_bytes(data: bytes, limit: int | None = SHOWN_BYTES_MAX) -> str:
    r"""Bytes as readable text: UTF-8 stays, the rest becomes \xNN, and a long one is cut with its length.

    >>> show_bytes(b"user:7\n")
    'user:7\\n'
    """
    cut = data if limit is None else data[:limit]
    shown = "".join(_show_character(character) for character in cut.decode("utf-8", "surrogateescape"))
    return shown if len(cut) == len(data) else f"{shown}… ({len(data)} bytes)"


def read_bytes(text: str) -> bytes:
    r"""The bytes of an argument, written as `show_bytes` shows them: UTF-8, and the escapes \\ \n \r \t \xNN.

    >>> read_bytes(r"user:\xff")
    b'user:\xff'
    """
    data = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[0]) or bytes.fromhex(match[0][2:].decode()), data)


def _show_character(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() and character != "\\" else ascii(character)[1:-1]


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
