"""The end of docs/command-line.md, from the program: `python -m tests.deploy.command_line_page` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from replicad.cli.exits import MEANINGS
from replicad.cli.main import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"

MARK = "<!-- Below: made by `python -m tests.deploy.command_line_page`. -->"


def page() -> str:
    """What is written by hand above the mark, then exit codes, and each verb with its options."""
    head = PAGE.read_text().partition(MARK)[0]
    codes = _table("exit code", ((str(code), meaning) for code, meaning in MEANINGS.items()))
    lines = [head + MARK, "", "## Exit codes", "", *codes, "", "## Each verb"]
    program = typer.main.get_command(app)
    lines += ["", "### `replicad`", "", "These stand before the verb.", "", *_parameters(program)]
    for name, command in verbs(program):
        about = " ".join((command.help or "").replace("\b", "").strip().split("\n\n")[0].split())
        lines += ["", f"### `replicad {name}`", "", about]
        if rows := _parameters(command):
            lines += ["", *rows]
    return "\n".join(lines) + "\n"


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each verb with its full name; a group of verbs is not one."""
    for word, each in command.commands.items():
        if hasattr(each, "commands"):
            yield from verbs(each, f"{name}{word} ")
        else:
            yield name + word, each


def _parameters(command: Any) -> list[str]:
    context = command.make_context("replicad", [], resilient_parsing=True)
    records = []
    for parameter in command.params:
        if not parameter.hidden:
            names, text = parameter.get_help_record(context)
            # An argument shows its type in Python, which says nothing here.
            names = names.split(" <")[0] if parameter.param_type_name == "argument" else names
            records.append((f"`{names}`", text))
    return _table("argument or option", iter(records)) if records else []


def _table(heading: str, rows: Iterator[tuple[str, str]]) -> list[str]:
    return [f"| {heading} | |", "|---|---|", *(f"| {_escaped(a)} | {_escaped(b)} |" for a, b in rows)]


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
