"""Which commands the kernel executes itself, for how many arguments, and what it does for each.

Everything else goes to Python, and so does whatever the kernel finds wrong with one of these: each has a
handler under `commands`, too. A transaction is the kernel's when it comes at once, from MULTI to EXEC, and
all of its commands are. To add a command here, give the kernel an operator (`kernels/resp/executor.cc`) that
answers byte for byte as the handler does.
"""

from __future__ import annotations

from replicad import kernels
from replicad.kernels import Operator

_MANY = (1 << 32) - 1

SIMPLE_COMMANDS = {
    "ping": (Operator.PING, 1, 2),
    "echo": (Operator.ECHO, 2, 2),
    "get": (Operator.GET, 2, 2),
    "mget": (Operator.MULTI_GET, 2, _MANY),
    "exists": (Operator.EXISTS, 2, _MANY),
    "strlen": (Operator.LENGTH, 2, 2),
    "getrange": (Operator.PART, 4, 4),
    "set": (Operator.SET, 3, 8),
    "setnx": (Operator.SET_ABSENT, 3, 3),
    "mset": (Operator.MULTI_SET, 3, _MANY),
    "del": (Operator.DELETE, 2, _MANY),
    "unlink": (Operator.DELETE, 2, _MANY),
    "incr": (Operator.ADD, 2, 2),
    "decr": (Operator.SUBTRACT, 2, 2),
    "incrby": (Operator.ADD_BY, 3, 3),
    "decrby": (Operator.SUBTRACT_BY, 3, 3),
    "append": (Operator.APPEND, 3, 3),
    "multi": (Operator.BEGIN, 1, 1),
    "exec": (Operator.COMMIT, 1, 1),
}
"""By name: the kernel's operator, and the least and greatest length of a request, its name counted."""


_READS = frozenset({Operator.GET, Operator.MULTI_GET, Operator.EXISTS, Operator.LENGTH, Operator.PART})
_OTHERS = {
    Operator.PING: "connection",
    Operator.ECHO: "connection",
    Operator.BEGIN: "transactions",
    Operator.COMMIT: "transactions",
}


def group_of(name: str) -> str:
    """Where the time of one of these counts: as `Command.timed_as` says of the same command."""
    operation = SIMPLE_COMMANDS[name][0]
    return "read" if operation in _READS else _OTHERS.get(operation, "write")


def add_simple_commands(engine: kernels.Engine) -> None:
    """Has the engine execute them."""
    for name, (operation, least, most) in SIMPLE_COMMANDS.items():
        engine.add(name, operation, least, most)
