"""What a command is, and how a request finds its handler.

A handler gets the client and the request (its own name first) and returns the encoded reply, or the work that
finds it (`Later`). It refuses by raising `Refused`. The number of arguments has been checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from replicad.server import refusals, replies
from replicad.server.access.permissions import SUBCOMMANDS, role_of
from replicad.server.access.roles import Role
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Check, Container
from replicad.server.interfaces import Node
from replicad.server.later import Reply
from replicad.server.requests import Request
from replicad.server.slow_log import SECRET

Handler = Callable[[ClientState, Request], Reply]
Entry = tuple[Handler, int, int, int, "Command"]
"""The handler, the least and the greatest length of a request, and what it counts towards `LOOK_AFTER`."""
Table = dict[bytes, Entry]

COMMANDS: dict[str, Command] = {}
"""All commands by name, in the order in which they are listed; `replicad.server.commands` fills it."""

_UNBOUNDED = 1 << 62
_READS_WITHOUT_KEYS = frozenset(["scan", "keys", "dbsize", "randomkey"])
LOOK_AFTER = 16
"""This many quick commands are executed between two looks at the clock; any other ends with one."""
_QUICK = frozenset(["get", "set", "ping"])
_WHILE_SUBSCRIBED = frozenset(
    ["subscribe", "psubscribe", "unsubscribe", "punsubscribe", "ping", "quit", "reset"]
)
"""What a client may send in RESP2 that has subscribed."""
_MAY_WRITE = frozenset(["exec", "replicad.family"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. `arity` counts the name too; negative means at least that many, as in Redis.

    `writes`: refused on a node that takes no writes. `immediate`: executed even while MULTI queues.
    `blocking`: its reply comes later, so it cannot stand in a MULTI. `walks`: its reply comes later, too, but
    within EXEC at once. `refused`: always. `check`: what MULTI refuses when it is queued. `keys`: first,
    last, step. `usage`: its arguments (`usage.parse_usage`), where they are not those of a `container`.
    """

    name: str
    handler: Handler
    arity: int
    group: str
    summary: str
    writes: bool
    immediate: bool
    blocking: bool
    walks: bool
    refused: bool
    check: Check | None
    keys: tuple[int, int, int]
    usage: str
    container: Container | None
    timed_as: str
    """The group of the metrics that its time counts for."""

    @property
    def reads(self) -> bool:
        """Whether it shows keys or values."""
        return reads_keys(self.name, self.keys, writes=self.writes)

    @property
    def role(self) -> Role | None:
        """What a user needs for it; None where not even AUTH comes before."""
        return role_of(self.name, writes=self.writes, reads=self.reads)

    @property
    def may_write(self) -> bool:
        """Whether it may write: it would change what another client's command, which goes on in pieces, has
        seen."""
        return self.writes or self.name in _MAY_WRITE

    def role_for(self, request: Request) -> Role | None:
        """What a user needs for this request: a subcommand may need more."""
        if self.container is not None and len(request) > 1:
            return SUBCOMMANDS.get((self.name, request[1].upper()), self.role)
        return self.role

    def full_name(self, request: Request) -> str:
        """With the subcommand, as Redis names it."""
        if self.container is None or len(request) == 1:
            return self.name
        return f"{self.name}|{request[1][:64].decode('ascii', 'replace').lower()}"

    def is_shown(self, request: Request) -> bool:
        """Whether MONITOR shows it: not what may hold a secret, nor what only an administrator sends."""
        return self.name not in SECRET and self.role_for(request) is not Role.ADMIN

    @property
    def flags(self) -> list[str]:
        flags = []
        if self.writes:
            flags.append("write")
        elif self.reads:
            flags.append("readonly")
        if self.immediate:
            flags.append("fast")
        if self.blocking:
            flags.append("noscript")
        return flags


def reads_keys(name: str, keys: tuple[int, int, int], *, writes: bool) -> bool:
    return not writes and (bool(keys[0]) or name in _READS_WITHOUT_KEYS)


class Group:
    """The commands of one module, as its decorated functions declare them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.commands: list[Command] = []

    def command(
        self,
        name: str,
        arity: int,
        summary: str,
        *,
        writes: bool = False,
        immediate: bool = False,
        blocking: bool = False,
        walks: bool = False,
        refused: bool = False,
        check: Check | None = None,
        keys: tuple[int, int, int] = (0, 0, 0),
        usage: str = "",
        container: Container | None = None,
    ) -> Callable[[Handler], Handler]:
        reads = reads_keys(name, keys, writes=writes)

        def declare(handler: Handler) -> Handler:
            self.commands.append(
                Command(
                    name=name,
                    handler=handler if container is None else _of_subcommands(container, handler),
                    arity=arity,
                    group=self.name,
                    summary=summary,
                    writes=writes,
                    immediate=immediate,
                    blocking=blocking,
                    walks=walks,
                    refused=refused,
                    check=check if container is None else container.check,
                    keys=keys,
                    usage=usage,
                    container=container,
                    timed_as="write" if writes else "read" if reads else self.name,
                )
            )
            return handler

        return declare


def _of_subcommands(container: Container, handler: Handler) -> Handler:
    """HELP, and subcommands that there are not, are answered alike for all: `handler` gets the rest."""

    def answer_or_handle(client: ClientState, request: Request) -> Reply:
        answer = container.answer(request)
        return handler(client, request) if answer is None else answer

    return answer_or_handle


def build_table(commands: Iterable[Command], *, writes: bool = True, reads: bool = True) -> Table:
    """Entries under the upper-case and the lower-case name. Where a node takes no `writes`, or does not show
    its data (`reads`), a refusal stands in for the handlers of such commands.
    """
    table: Table = {}
    for command in commands:
        least = abs(command.arity)
        most = command.arity if command.arity > 0 else _UNBOUNDED
        is_taken = (writes or not command.writes) and (reads or not command.reads)
        handler = command.handler if is_taken else _refusing(command)
        entry = (handler, least, most, 1 if command.name in _QUICK else LOOK_AFTER, command)
        table[command.name.upper().encode()] = entry
        table[command.name.encode()] = entry
    return table


def _refusing(command: Command) -> Handler:
    def refuse(client: ClientState, request: Request) -> bytes:
        return refusal_now(command, client.server.node) or replies.error("ERR try again")

    return refuse


def refusal_now(command: Command, node: Node) -> bytes | None:
    """What the node says to a command instead of executing it, as its role and its data are now."""
    if node.is_writable:
        return None
    if command.writes:
        return refusals.read_only(node.primary_address)
    if command.reads and (reason := node.reads_refused) is not None:
        return replies.error(reason)
    return None


def forbidden(command: Command, client: ClientState, request: Request) -> bytes | None:
    """What a client hears that may not have this executed now: its user may not, or it has subscribed."""
    needed = command.role_for(request)
    if needed is not None and needed not in client.rights:
        return client.forbid(command.name)
    if client.only_hears and command.name not in _WHILE_SUBSCRIBED:
        return refusals.only_while_subscribed(command.full_name(request))
    return None


def find_entry(table: Table, name: bytes) -> Entry | None:
    """The entry under a name in any mixture of cases."""
    return table.get(name.upper()) if len(name) <= 64 else None


def find_command(name: bytes) -> Command:
    """The command under a name that was found before, in any mixture of cases."""
    return COMMANDS[name.decode().lower()]
