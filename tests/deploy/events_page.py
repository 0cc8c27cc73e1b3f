"""docs/events.md, out of the code: every event that a node logs, its level and its fields.

`python -m tests.deploy.events_page` writes it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "events.md"
LEVELS = ("debug", "info", "warning", "error", "critical")

HEAD = """\
# Events of the log

A node writes an event a line to standard error: JSON, or on a terminal in columns. Each has `event`, `level`,
`timestamp`, and the fields of this table; those in brackets are not always there. The names are stable:
alerts may count on them.

Events of one session of replication have its number in `session`; each node counts its own. Events of one
copy have its id in `copy`, which is the same on both nodes. `client_id` is the id that CLIENT LIST shows.

An event that comes again and again is left out after a burst of 50 lines, until the next one that is written
says in `left_out` how many there were. Errors are always written.

<!-- Below: made by `python -m tests.deploy.events_page`. -->

| event | level | fields |
|---|---|---|
"""


@dataclass
class Event:
    levels: set[str] = field(default_factory=set)
    calls: list[set[str]] = field(default_factory=list)

    @property
    def row(self) -> str:
        always = set.intersection(*self.calls)
        sometimes = set.union(*self.calls) - always
        names = [f"`{name}`" for name in sorted(always)] + [f"[`{name}`]" for name in sorted(sometimes)]
        levels = ", ".join(level for level in LEVELS if level in self.levels)
        return f"{levels} | {', '.join(names)}"


def events() -> dict[str, Event]:
    """By name, as the calls of loggers have them."""
    found: dict[str, Event] = {}
    for path in sorted((REPOSITORY / "replicad").rglob("*.py")):
        for name, level, fields in _calls(ast.parse(path.read_text())):
            event = found.setdefault(name, Event())
            event.levels.add(level)
            event.calls.append(fields)
    return dict(sorted(found.items()))


def _calls(tree: ast.AST) -> Iterator[tuple[str, str, set[str]]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                args=[ast.Constant(value=str(name)), *_],
                keywords=keywords,
            ) if level in LEVELS:
                yield name, level, {keyword.arg or "…" for keyword in keywords} - {"exc_info"}


def page() -> str:
    return HEAD + "".join(f"| `{name}` | {event.row} |\n" for name, event in events().items())


if __name__ == "__main__":
    PAGE.write_text(page())
