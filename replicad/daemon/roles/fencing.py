"""Fencing: a primary that hears of a higher epoch gives up its role.

    fence        answers end: nothing is acknowledged any more                      at once
    step down    record: "fenced by epoch e"                                        durable
                 the store takes no more writes                                     durable
                 follow the primary of the higher epoch, or ask the nodes for it

The standing moves at once and does not wait for a change under way: from the moment that this node knows of a
higher epoch, an acknowledgement could be of a write that the new primary lacks. A change under way finds the
new standing when it looks again. The rest takes its turn.

A death after the record: the node starts as a replica, fenced, and acknowledges nothing. A death before it:
the node starts as a primary that other nodes know of, so it asks them before it acknowledges anything, and
hears of the higher epoch again. Belongs to the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.roles.stepping_down import demote, until_saved
from replicad.daemon.tasks import NodeTasks
from replicad.env.events import get_logger
from replicad.net.addresses import address_of
from replicad.replication.policy.roles import Standing

log = get_logger("replicad.daemon")


class Fencing:
    def __init__(
        self,
        *,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        link: NodeLink,
        lock: ChangeLock,
        tasks: NodeTasks,
        find_primary: Callable[[], None],
    ) -> None:
        """`find_primary` has the nodes asked soon who is primary."""
        self._standing = standing
        self._store = store
        self._memory = memory
        self._link = link
        self._lock = lock
        self._tasks = tasks
        self._find_primary = find_primary

    def fence(self, epoch: int, where: tuple[str, str] = ("", "")) -> None:
        """A higher epoch exists. `where` its primary is, if that is known: replication and client address."""
        # A node that is handing over has given its role away already, and follows the new primary anyway.
        if self._standing.role != "primary" or self._standing.current is Standing.HANDING_OVER:
            return

        # Clients are told at the move where the primary is, so its address comes first.
        memory = self._memory
        memory.primary, memory.primary_clients = address_of(where[0]), where[1]
        log.warning("role.fenced", by_epoch=epoch, primary=where[0] or None)
        self._standing.move(Standing.FENCED)
        self._tasks.spawn(self._lock.run_in_turn(partial(self._step_down, epoch)))

    async def _step_down(self, epoch: int) -> None:
        memory, store = self._memory, self._store

        # The record before the store: with the record alone the next start is a replica's. A demoted store
        # without the record would be a replica that does not know that it lacks the writes of an epoch.
        await until_saved(partial(memory.save_following, store.epoch, fenced_by=epoch))
        await until_saved(partial(demote, store))

        if memory.primary is None:
            self._find_primary()
        elif self._standing.current is Standing.FENCED:
            self._standing.move(Standing.FOLLOWING)
            self._link.start()
