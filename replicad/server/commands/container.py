"""Commands that have subcommands: which there are, with how many arguments, and their HELP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from replicad.server import refusals, replies
from replicad.server.requests import Request

Check = Callable[[Request], bytes | None]
"""What is wrong with a request whatever the state is: the reply that says so, or None."""

ANY = 1 << 14
"""Arguments: more than anybody needs, and still read within a turn."""


@dataclass(frozen=True, slots=True)
class Subcommand:
    """`usage` begins with its name; it takes `least` to `most` arguments; `check` finds more."""

    usage: str
    summary: str
    least: int = 0
    most: int = 0
    check: Check | None = None

    @property
    def name(self) -> bytes:
        return self.usage.split()[0].encode()

    @property
    def arguments(self) -> str:
        """The usage without the name."""
        return self.usage.partition(" ")[2]


class Container:
    """What a command's second word may be."""

    def __init__(self, name: str, *subcommands: Subcommand) -> None:
        self.name = name
        self._subcommands = {each.name: each for each in subcommands}

    @property
    def subcommands(self) -> tuple[Subcommand, ...]:
        return tuple(self._subcommands.values())

    def check(self, request: Request) -> bytes | None:
        """The refusal of a subcommand that there is not, or that is given other arguments than it takes."""
        if len(request) == 1:
            return None
        name = request[1].upper()
        if name == b"HELP":
            return None if len(request) == 2 else refusals.wrong_arity(f"{self.name}|help")
        found = self._subcommands.get(name)
        if found is None:
            return refusals.unknown_subcommand(self.name, request[1])
        if not found.least <= len(request) - 2 <= found.most:
            return refusals.wrong_arity(f"{self.name}|{name.decode().lower()}")
        return None if found.check is None else found.check(request)

    def answer(self, request: Request) -> bytes | None:
        """The refusal, or the answer to HELP; None for a subcommand that is to be executed."""
        refusal = self.check(request)
        if refusal is None and len(request) > 1 and request[1].upper() == b"HELP":
            return self.help()
        return refusal

    def help(self) -> bytes:
        """One line for each subcommand and one for what it does, as Redis's."""
        lines = [f"{self.name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
        for each in (*self.subcommands, Subcommand("HELP", "Prints this help.")):
            lines += [each.usage, f"    {each.summary}"]
        return replies.array([b"+%b\r\n" % line.encode() for line in lines])
