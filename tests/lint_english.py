"""Phrases that readers have to read twice, and what to write instead. `make lint` runs this file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PLACES = (
    "replicad/**/*.py",
    "replicad/kernels/**/*.h",
    "replicad/kernels/**/*.cc",
    "docs/**/*.md",
    "proto/*.md",
    "*.md",
)

INSTEAD = {
    r"\bof now\b": "current",
    r"\bwhat is none\b": "not one of",
    r"\bwho has come to\b": "a reader that reaches",
    r"\bwhoever\b": "anyone who, or name them",
    r"\bso many\b": "this many, or at most n",
    r"\bso much\b": "this much",
    r"(?<!there )\b(is|are) no (?!longer|such|more|reason|one\b)": "is not a",
    r"\btells? of\b": "reports",
}
"""By the phrase, as a regular expression."""


def breaches(text: str) -> Iterator[tuple[int, str]]:
    """Line and complaint of every phrase in a text."""
    for number, line in enumerate(text.splitlines(), 1):
        for phrase, better in INSTEAD.items():
            if found := re.search(phrase, line, re.IGNORECASE):
                yield number, f"{found[0]!r}: write {better!r}"


def main() -> int:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {complaint}"
        for place in PLACES
        for path in sorted(REPOSITORY.glob(place))
        for line, complaint in breaches(path.read_text(encoding="utf-8"))
    ]
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
