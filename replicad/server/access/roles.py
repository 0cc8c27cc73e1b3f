"""Roles: what a user may do. `monitor` < `read` < `write`; beside them `replicate` and `backup`, which read
all data; `admin` is all of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    MONITOR = "monitor"
    READ = "read"
    WRITE = "write"
    REPLICATE = "replicate"
    BACKUP = "backup"
    ADMIN = "admin"


Rights = frozenset[Role]

_INCLUDED = {
    Role.MONITOR: (),
    Role.READ: (Role.MONITOR,),
    Role.WRITE: (Role.MONITOR, Role.READ),
    Role.REPLICATE: (Role.MONITOR,),
    Role.BACKUP: (Role.MONITOR,),
    Role.ADMIN: tuple(Role),
}

ALL: Rights = frozenset(Role)
NONE: Rights = frozenset()
OF_ALL_DATA = frozenset({Role.REPLICATE, Role.BACKUP, Role.ADMIN})
"""Roles that show every family: they cannot be limited to some."""
OF_FAMILIES = frozenset({Role.READ, Role.WRITE})
"""What a user has only in the families that are named."""


def rights_of(roles: Iterable[Role]) -> Rights:
    """The roles with all that they include.

    >>> sorted(rights_of([Role.READ]))
    [<Role.MONITOR: 'monitor'>, <Role.READ: 'read'>]
    """
    return frozenset(each for role in roles for each in (role, *_INCLUDED[role]))
