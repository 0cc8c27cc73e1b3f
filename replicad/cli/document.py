"""Any document as text for people: a name and a value a line, tables, sizes and times in units.

The last word of a name gives the unit of its value.
"""

from __future__ import annotations

from typing import Any

from replicad.cli.output import print_fields, print_table
from replicad.cli.terminal import printable
from replicad.units import show_seconds, show_size, show_time


def print_document(document: dict[str, Any], indent: int = 0) -> None:
    """Facts first, then what has parts of its own, each under its name."""
    nested = {name: value for name, value in document.items() if isinstance(value, dict | list)}
    facts = {name: _text(name, value) for name, value in document.items() if name not in nested}
    print_fields(facts, indent)
    for name, value in nested.items():
        title = f"{' ' * indent}{name.replace('_', ' ')}"
        if not value:
            print(f"{title}  none")
        elif isinstance(value, dict):
            print(title)
            print_document(value, indent + 2)
        elif all(isinstance(item, dict) for item in value):
            print(f"{title}  {len(value)}")
            print_rows(value, indent + 2)
        else:
            print(f"{title}  {', '.join(printable(str(item)) for item in value)}")


def print_rows(rows: list[dict[str, Any]], indent: int) -> None:
    """A table of documents of one kind."""
    headings = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_text(name, row.get(name)) for name in headings] for row in rows]
    print_table([name.replace("_", " ") for name in headings], cells, indent)


def _text(name: str, value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() | float() if name.endswith("_bytes_per_second") or name == "rate_bytes":
            return f"{show_size(value)}/s"
        case int() | float() if name.endswith(("_bytes", "_bytes_total")) or name == "bytes":
            return show_size(value)
        case int() if name.endswith("_us") and value > 1 << 48:
            return show_time(value)
        case int() | float() if name.endswith("_seconds"):
            return show_seconds(value)
    return printable(str(value))
