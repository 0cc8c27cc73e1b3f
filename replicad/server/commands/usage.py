"""What arguments a command takes, read from one line as HELP shows it.

word          a value, called so; what is a key, a number or a pattern is told by its name
WORD          a word to be given as it is; followed by a value or a group, that one's token
[a | b]       one of these or nothing
<a | b>       one of these; `<word>` is a value, as `word` is
...           what is before it may be repeated
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from replicad.server.replies import Value, Word

_TOKEN = re.compile(r"\[|\]|<|>|\||\.\.\.|[^\s\[\]<>|]+")
_KINDS = {
    "key": "key",
    "pattern": "pattern",
    "glob": "pattern",
    "timestamp": "unix-time",
    "offset": "integer",
    "start": "integer",
    "end": "integer",
    "count": "integer",
    "cursor": "integer",
    "increment": "integer",
    "decrement": "integer",
    "milliseconds": "integer",
    "number": "integer",
    "numlocal": "integer",
    "numreplicas": "integer",
    "port": "integer",
    "seconds": "integer",
    "sequence": "integer",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """`kind` is a type of COMMAND DOCS; "oneof" and "block" have `parts`."""

    name: str
    kind: str
    token: str | None = None
    optional: bool = False
    multiple: bool = False
    parts: tuple[Argument, ...] = ()

    def documented(self) -> dict[str, Value]:
        """As COMMAND DOCS shows it."""
        shown: dict[str, Value] = {"name": self.name, "type": self.kind}
        if self.kind == "key":
            shown["key_spec_index"] = 0
        if not self.parts and self.kind != "pure-token":
            shown["display_text"] = self.name
        if self.token is not None:
            shown["token"] = self.token
        flags: list[Value] = [Word(flag) for flag in ("optional", "multiple") if getattr(self, flag)]
        if flags:
            shown["flags"] = flags
        if self.parts:
            shown["arguments"] = [part.documented() for part in self.parts]
        return shown


def parse_usage(usage: str) -> tuple[Argument, ...]:
    """Raises ValueError for a line that is not as above."""
    tokens = _TOKEN.findall(usage)
    arguments = _sequence(tokens)
    if tokens:
        raise ValueError(f"{usage!r} goes on after its end with {tokens[0]!r}")
    return arguments


def _sequence(tokens: list[str]) -> tuple[Argument, ...]:
    """Takes what it reads from the front of `tokens`, up to what ends a group."""
    found: list[Argument] = []
    while tokens and tokens[0] not in ("]", ">", "|"):
        token = tokens.pop(0)
        if token == "...":
            found[-1] = replace(found[-1], multiple=True)
        elif token in ("[", "<"):
            found.append(_group(tokens, optional=token == "["))
        elif not token.isupper():
            found.append(_value(token))
        elif tokens and (tokens[0] == "<" or (tokens[0].islower() and tokens[0].isidentifier())):
            following = tokens.pop(0)
            value = _group(tokens) if following == "<" else _value(following)
            found.append(replace(value, token=token))
        else:
            found.append(Argument(token.lower(), "pure-token", token))
    return tuple(found)


def _value(name: str) -> Argument:
    return Argument(name, _KINDS.get(name, "string"))


def _group(tokens: list[str], *, optional: bool = False) -> Argument:
    choices = [_as_one(_sequence(tokens))]
    while tokens.pop(0) == "|":
        choices.append(_as_one(_sequence(tokens)))
    if len(choices) == 1:
        return replace(choices[0], optional=optional)
    return Argument(
        "-or-".join(choice.name for choice in choices), "oneof", None, optional, False, tuple(choices)
    )


def _as_one(sequence: tuple[Argument, ...]) -> Argument:
    if len(sequence) == 1:
        return sequence[0]
    return Argument("-".join(part.name for part in sequence), "block", parts=sequence)
