"""Commands in the text of pages, looked up in the program: each verb and each option of `replicad` exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer.main

from replicad.cli.main import app

_PLACEHOLDER = re.compile(r"[A-Z…\[<|]|\.\.\.")


def complaints(line: str) -> Iterator[str]:
    """What of a line that begins with `replicad` does not exist."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    command: Any = typer.main.get_command(app)
    known = _options(command)
    for word in words[1:]:
        word = word.strip("[](),;…")
        if word in ("|", "||", "&&", "&", ">", "<", ";") or word.startswith((">", "2>", "<")):
            return
        if word.startswith("--"):
            if word.partition("=")[0] not in known:
                yield f"{command.name}: no option {word}"
        elif hasattr(command, "commands") and not _is_value(word):
            if word not in command.commands:
                yield f"{command.name}: no verb {word}"
                return
            command = command.commands[word]
            known = known | _options(command)


def commands_of(text: str, program: str = "replicad") -> Iterator[str]:
    """The command lines of a script that run the program, with continued lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&& |\|\| |\| |; |\$\(|do |if |until |while |! |sudo -u \w+ ", line.strip()):
            if re.match(rf"(\.venv/bin/)?{program} ", part):
                yield part


def _options(command: Any) -> frozenset[str]:
    found = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return frozenset({*found, "--help"})


def _is_value(word: str) -> bool:
    """What stands before the verb: the value of an option of the program itself."""
    return not word or _PLACEHOLDER.search(word) is not None or "/" in word or word == "operator"
