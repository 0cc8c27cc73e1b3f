"""The blocks of code on the pages that people follow, and how each kind of block is checked.

    ```sh            executed by bash -eu, in the order of the page: tests/documents/test_pages.py
    ```sh by-hand    needs root, systemd or minutes: its syntax, programs, verbs and options are checked
    ```python        executed; all such blocks of a page are one program, which runs in the place of the first
    ```toml          read as the configuration of a node
    ```text          a drawing or what a command prints: it has no commands

Any other block has no check, and a test says so. A block that is only indented has no kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]
KINDS = frozenset({"sh", "sh by-hand", "python", "toml", "text"})
INDENTED = "indented"
_PROMPT = re.compile(
    r"^\s*[$#>] |^\s*(\.venv/bin/)?(replicad|redis-cli|make|systemctl|curl|sudo) ", re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    """Of the first line of its text, from 1 on."""
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"

    @property
    def is_of_runbook(self) -> bool:
        return self.page.parent.name == "runbook" and self.page.name != "README.md"

    @property
    def has_commands(self) -> bool:
        return _PROMPT.search(self.text) is not None


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def blocks(page: Path) -> list[Block]:
    return list(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    kind, first, lines = "", 0, list[str]()
    was_blank = True
    for number, line in enumerate([*page.read_text().splitlines(), ""], 1):
        fence = re.fullmatch(r"```(.*)", line)
        if kind in ("", INDENTED) and fence:
            if kind:
                yield Block(page, first, kind, _joined(lines))
            kind, first, lines = fence[1].strip() or "unnamed", number + 1, []
        elif kind not in ("", INDENTED):
            if fence:
                yield Block(page, first, kind, _joined(lines))
                kind = ""
            else:
                lines.append(line)
        elif kind == INDENTED:
            if line and not line.startswith("    "):
                yield Block(page, first, kind, _joined(lines))
                kind = ""
            else:
                lines.append(line[4:])
        elif was_blank and line.startswith("    "):
            kind, first, lines = INDENTED, number, [line[4:]]
        was_blank = not line
    if kind:
        yield Block(page, first, kind, _joined(lines))


def _joined(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"
