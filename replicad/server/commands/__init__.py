"""The commands, one module a group. `COMMANDS` is all of them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicad.server import refusals, replies
from replicad.server.commands.introspection import introspection
from replicad.server.commands.keys import keys
from replicad.server.commands.node import node
from replicad.server.commands.numbers import numbers
from replicad.server.commands.replicad import ours
from replicad.server.commands.roles import roles
from replicad.server.commands.session import session
from replicad.server.commands.strings import strings
from replicad.server.commands.table import Command, Table, build_table
from replicad.server.commands.transactions import transactions
from replicad.server.commands.verification import verification
from replicad.server.commands.waiting import waiting
from replicad.server.requests import Request

if TYPE_CHECKING:
    from replicad.server.connection import ClientConnection

_GROUPS = (
    strings,
    numbers,
    keys,
    transactions,
    session,
    node,
    introspection,
    waiting,
    roles,
    ours,
    verification,
)

COMMANDS: dict[str, Command] = {command.name: command for group in _GROUPS for command in group.commands}


def _refuse_write(client: ClientConnection, request: Request) -> bytes:
    return refusals.read_only(client.server.node.primary_address)


def _refuse_read(client: ClientConnection, request: Request) -> bytes:
    return replies.error(client.server.node.reads_refused or "ERR try again")


WRITABLE: Table = build_table(COMMANDS.values())
READ_ONLY: Table = build_table(COMMANDS.values(), refuse_writes=_refuse_write)
STALE: Table = build_table(COMMANDS.values(), refuse_writes=_refuse_write, refuse_reads=_refuse_read)
