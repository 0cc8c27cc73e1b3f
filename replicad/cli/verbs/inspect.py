"""`replicad inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicad.cli.arguments import JsonOption

if TYPE_CHECKING:
    from replicad.cli.explain import Explanation


def register(app: typer.Typer) -> None:
    app.command(
        help="""Explain any file of a data directory, and check it.

    Knows log segments, tables, manifests, CURRENT and OPTIONS files, and the documents of backups. Shows
    the header and every frame, record or block with its offset, checks every checksum, and names the first
    damage with its offset. Exits with 1 when the file is damaged.
    """,
        epilog="""\
\b
Examples:
  replicad inspect data/000012.sst
  replicad inspect --entries data/wal/0000000001-00000000000000000001.log
  replicad inspect --json data/MANIFEST-000003 | jq .damage""",
    )(inspect)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any file of a data directory or a backup.")],
    entries: Annotated[bool, typer.Option("--entries", help="Also show what each part holds.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Show at most N parts; 0 shows all.")] = 20,
    json: JsonOption = False,
) -> int:
    from replicad.cli.exits import ERROR, OK
    from replicad.cli.explain import explain
    from replicad.cli.output import print_error

    explained = explain(file, entries=entries)
    if json:
        _print_json(file, explained, limit)
    else:
        _print(file, explained, limit)
    if explained.damage is None:
        return OK
    print_error(f"{file}: offset {explained.damage.offset}: {explained.damage.reason}")
    return ERROR


def _print(file: Path, explained: Explanation, limit: int) -> None:
    from replicad.cli.output import print_fields
    from replicad.units import show_size

    print(f"{file}: {explained.kind}, {show_size(explained.size_bytes)}")
    print_fields(explained.header, indent=2)
    shown = explained.parts if limit == 0 else explained.parts[:limit]
    for part in shown:
        begin, length = part["offset"], part["length"]
        rest = {name: value for name, value in part.items() if name not in ("offset", "length", "entries")}
        facts = "  ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in rest.items())
        print(f"  {explained.part_name} at {begin}, {length} bytes: {facts}")
        for entry in part.get("entries", ()):
            print("      " + " ".join(f"{name}={_text(value)}" for name, value in entry.items()))
    if len(shown) < len(explained.parts):
        print(f"  … and {len(explained.parts) - len(shown)} more (--limit 0 shows all)")
    for note in explained.notes:
        print(f"  {note}")
    if explained.damage is None:
        print("  every checksum is right")
    else:
        print(f"  DAMAGED at offset {explained.damage.offset}: {explained.damage.reason}")


def _text(value: Any) -> str:
    text = value["hex"] if isinstance(value, dict) and value.keys() == {"hex"} else str(value)
    shown = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return shown if len(shown) <= 96 else f"{shown[:96]}… ({len(text)} characters)"


def _print_json(file: Path, explained: Explanation, limit: int) -> None:
    from replicad.cli.output import print_json

    damage = explained.damage
    print_json(
        {
            "file": str(file),
            "kind": explained.kind,
            "size_bytes": explained.size_bytes,
            "header": explained.header,
            "parts": explained.parts if limit == 0 else explained.parts[:limit],
            "parts_total": len(explained.parts),
            "damage": None if damage is None else {"offset": damage.offset, "reason": damage.reason},
            "notes": explained.notes,
        }
    )
