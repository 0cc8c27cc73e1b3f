"""The commands, one module a group. `COMMANDS` is all of them by name."""

from __future__ import annotations

from replicad.server.commands.acl import acl
from replicad.server.commands.clients import clients
from replicad.server.commands.configuration import configuration
from replicad.server.commands.connection import connection
from replicad.server.commands.copies import copies
from replicad.server.commands.failover import failovers
from replicad.server.commands.families import families
from replicad.server.commands.introspection import introspection
from replicad.server.commands.keys import keys
from replicad.server.commands.links import links
from replicad.server.commands.log import log
from replicad.server.commands.node import node
from replicad.server.commands.numbers import numbers
from replicad.server.commands.observation import observation
from replicad.server.commands.pubsub import pubsub
from replicad.server.commands.replica import replica
from replicad.server.commands.replication import replication
from replicad.server.commands.roles import roles
from replicad.server.commands.sentinel import sentinel
from replicad.server.commands.slots import slots
from replicad.server.commands.strings import strings
from replicad.server.commands.table import COMMANDS, Table, build_table
from replicad.server.commands.transactions import transactions
from replicad.server.commands.verification import verification
from replicad.server.commands.waiting import waiting
from replicad.server.interfaces import Node

__all__ = ["COMMANDS", "choose_table"]

_GROUPS = (
    strings,
    numbers,
    keys,
    transactions,
    connection,
    clients,
    acl,
    node,
    configuration,
    introspection,
    observation,
    waiting,
    roles,
    sentinel,
    pubsub,
    log,
    families,
    replication,
    replica,
    failovers,
    slots,
    copies,
    links,
    verification,
)

COMMANDS.update({command.name: command for group in _GROUPS for command in group.commands})

_WRITABLE = build_table(COMMANDS.values())
_READ_ONLY = build_table(COMMANDS.values(), writes=False)
_STALE = build_table(COMMANDS.values(), writes=False, reads=False)


def choose_table(node: Node) -> Table:
    """The commands as this node takes them now."""
    if node.is_writable:
        return _WRITABLE
    return _READ_ONLY if node.reads_refused is None else _STALE
