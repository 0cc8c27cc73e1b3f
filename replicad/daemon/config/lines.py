"""On which line of a TOML file a key stands: tomllib does not say.

It finds what people write, `[table]` and `key = value`. A value within an inline table has the line of the
key that holds it. A text that tomllib takes is never refused here; at worst a line is not found.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from replicad.daemon.config.keys import KeyPath

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*\[[ \t]*({_KEY})[ \t]*\]")
_ASSIGNMENT = re.compile(rf"[ \t]*({_KEY})[ \t]*=(.*)")


def lines_of(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every table and key that is found."""
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    ends_with = ""  # what ends the string over several lines that the line begins in
    for number, line in enumerate(text.split("\n"), 1):
        if ends_with:
            ends_with = "" if ends_with in line else ends_with
        elif match := _HEADER.match(line):
            table = _path(match[1])
            found.setdefault(table, number)
        elif match := _ASSIGNMENT.match(line):
            found.setdefault(table + _path(match[1]), number)
            ends_with = next((quote for quote in ('"' * 3, "'" * 3) if match[2].count(quote) % 2), "")
    return found


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Of the key, or of the nearest table or key that holds it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _path(key: str) -> KeyPath:
    """The names of a dotted key; tomllib knows how they are quoted."""
    path: list[str] = []
    table: Any = tomllib.loads(f"{key} = 0")
    while isinstance(table, dict):
        ((name, table),) = table.items()
        path.append(name)
    return tuple(path)
