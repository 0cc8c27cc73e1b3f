"""docs/commands.md, made from the server's commands: `python -m tests.deploy.commands_page` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from replicad.server.commands import COMMANDS
from replicad.server.commands.table import Command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"

INTRODUCTION = """\
# Commands

Clients speak RESP2 or RESP3, as with Redis. Redis commands mean what they mean in Redis; replicad's own
commands begin with `REPLICAD.`. `[x]` may be left out, `<a | b>` is one of the two, and `…` may be repeated.
*writes* marks commands that a replica refuses with `READONLY` and the address of its primary.

`SELECT n` chooses column family n. Values are strings; a command that would set an expiry is refused with an
error. A command that takes long does not hold up other clients.

A write that was made and may stay is answered with `UNCERTAIN` when that cannot be promised: another node
became the primary, the storage failed, or too few replicas had it in time. The text says what is known. Look
at the data before you send it again. `READONLY` and `TRYAGAIN` mean that nothing was written.

<!-- Below: made by `python -m tests.deploy.commands_page`. -->
"""


def page() -> str:
    """Markdown: one table a group, in the order of the server's groups."""
    lines = [INTRODUCTION.rstrip()]
    for group, commands in groupby(COMMANDS.values(), lambda command: command.group):
        lines += ["", f"## {group.capitalize()}", "", "| command | |", "|---|---|"]
        for command in commands:
            lines += [f"| `{_escaped(call)}` | {_escaped(summary)} |" for call, summary in _calls(command)]
    return "\n".join(lines) + "\n"


def _calls(command: Command) -> Iterator[tuple[str, str]]:
    name = command.name.upper()
    marks = " *writes*" if command.writes else ""
    if command.container is None:
        yield f"{name} {command.usage}".rstrip(), command.summary + marks
        return
    for subcommand in command.container.subcommands:
        call = f"{name} {subcommand.name.decode().upper()} {subcommand.arguments}"
        yield call.rstrip(), subcommand.summary + marks


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("...", "…")


if __name__ == "__main__":
    PAGE.write_text(page())
