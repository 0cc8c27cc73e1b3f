"""Commands in the text of pages, looked up in the program: each verb and each option of `replicad` exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import typer.main

from replicad.cli.main import app

_PLACEHOLDER = re.compile(r"[A-Z…\[<|]|\.\.\.")
_ENDS = re.compile(r"[|&;]+|\d?[<>].*")
_SEPARATORS = re.compile(r"&& |\|\| |\| |; |\$\(|do |if |until |while |! |\{ |sudo -u \w+ ")


def complaints(line: str) -> Iterator[str]:
    """What of a line that begins with `replicad` does not exist."""
    try:
        words = iter(shlex.split(line, comments=True)[1:])
    except ValueError:
        words = iter(line.split()[1:])
    command = _program()
    options = _options(command)
    for word in words:
        word = word.strip("[](),;…")
        if _ENDS.fullmatch(word):
            return
        if word.startswith("--"):
            name, _, value = word.partition("=")
            if name not in options:
                yield f"{command.name}: no option {name}"
            elif options[name] and not value:
                next(words, None)
        elif hasattr(command, "commands") and word and not _PLACEHOLDER.search(word):
            if word not in command.commands:
                yield f"{command.name}: no verb {word}"
                return
            command = command.commands[word]
            options |= _options(command)


def commands_of(text: str, program: str = "replicad") -> Iterator[str]:
    """The command lines of a script that run the program, with continued lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in _SEPARATORS.split(line.strip()):
            if part.startswith(f"{program} "):
                yield part


@cache
def _program() -> Any:
    return typer.main.get_command(app)


def _options(command: Any) -> dict[str, bool]:
    """Each option, and whether a value follows it."""
    found = {"--help": False}
    for each in command.params:
        takes_value = each.param_type_name == "option" and not each.is_flag
        found |= dict.fromkeys((*each.opts, *each.secondary_opts), takes_value)
    return found
