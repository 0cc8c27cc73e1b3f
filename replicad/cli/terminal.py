"""Lines with colours on a terminal, and without them anywhere else.

Nodes hand on what others told them. So every piece loses its control characters before it is shown.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.text import Text

Line = list[tuple[str, str]]
"""Pieces of text, each with a style of rich, or ""."""


def has_colours(stream: TextIO) -> bool:
    """https://no-color.org: any value but the empty one means no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns_of(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> tuple[list[str], list[int]]:
    """The headings of a table, and how wide each column has to be."""
    headings = [name.replace("_", " ") for name in names]
    return headings, [max(map(len, column)) for column in zip(headings, *rows, strict=True)]


def print_lines(lines: Sequence[Line]) -> None:
    if not has_colours(sys.stdout):
        for line in lines:
            print("".join(printable(text) for text, _ in line))
        return

    # Loaded here: nothing else of a short verb needs it.
    from rich.console import Console

    Console(highlight=False).print(styled(lines), soft_wrap=True)


def styled(lines: Sequence[Line]) -> Text:
    """The lines for rich; no markup in them counts."""
    from rich.text import Text

    text = Text(no_wrap=True)
    for number, line in enumerate(lines):
        text.append("\n" if number else "")
        for piece, style in line:
            text.append(printable(piece), style)
    return text


def printable(text: str) -> str:
    r"""
    >>> printable("\x1b[2J")
    '\\x1b[2J'
    """
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
