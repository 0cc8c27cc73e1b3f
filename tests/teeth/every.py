"""All mutations."""

from __future__ import annotations

from tests.teeth.ahead import AHEAD
from tests.teeth.backups import BACKUPS
from tests.teeth.breaking import BREAKING
from tests.teeth.compiled import COMPILED
from tests.teeth.copies import COPIES
from tests.teeth.delay import DELAY
from tests.teeth.disk import DISK
from tests.teeth.failover import FAILOVER
from tests.teeth.feed import FEED
from tests.teeth.following import FOLLOWING
from tests.teeth.held import HELD
from tests.teeth.links import LINKS
from tests.teeth.log import LOG
from tests.teeth.mutation import Mutation
from tests.teeth.nodes import NODES
from tests.teeth.operating import OPERATING
from tests.teeth.outside import OUTSIDE
from tests.teeth.pieces import PIECES
from tests.teeth.reading import READING
from tests.teeth.restoring import RESTORING
from tests.teeth.roles import ROLES
from tests.teeth.room import ROOM
from tests.teeth.security import SECURITY
from tests.teeth.starting import STARTING
from tests.teeth.wire import WIRE

LISTS = (
    DISK,
    LOG,
    READING,
    ROOM,
    COPIES,
    RESTORING,
    STARTING,
    ROLES,
    NODES,
    AHEAD,
    HELD,
    LINKS,
    WIRE,
    OPERATING,
    BACKUPS,
    OUTSIDE,
    PIECES,
    BREAKING,
    COMPILED,
    SECURITY,
    FEED,
    DELAY,
    FOLLOWING,
    FAILOVER,
)
MUTATIONS: tuple[Mutation, ...] = tuple(
    sorted((mutation for each in LISTS for mutation in each), key=lambda mutation: mutation.trap)
)
