"""A switchover through etcd: the leader frees the leadership for one node, and waits until that one leads.

    right given up ──> order written, leader's key deleted ──> another node has begun: it leads
                                └── nobody takes it in time ──> this node claims its epoch again (`agent`)

Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from replicad.daemon.failover.keys import Keys, switchover_value
from replicad.daemon.roles.leadership import Leadership
from replicad.env.events import get_logger
from replicad.errors import EtcdError, RoleRefused
from replicad.etcd.calls import Delete, Etcd, HasRevision, Put
from replicad.replication.policy.failover.cluster import Cluster, Leader, SwitchoverOrder
from replicad.replication.policy.failover.election import why_not_eligible

log = get_logger("replicad.daemon")


class HandingOver:
    def __init__(
        self,
        me: str,
        etcd: Etcd,
        *,
        lag_bytes_max: int,
        leadership: Leadership,
        fresh: Callable[[], Awaitable[tuple[Cluster, Keys]]],
        next_look: Callable[[], Awaitable[Cluster | None]],
        look_soon: Callable[[], None],
    ) -> None:
        """`me` is this node's id. `fresh` reads etcd, or raises RoleRefused; `next_look` waits for a look
        that comes soon, and gives None where etcd did not answer it."""
        self._me = me
        self._etcd = etcd
        self._lag_bytes_max = lag_bytes_max
        self._leadership = leadership
        self._fresh = fresh
        self._next_look = next_look
        self._look_soon = look_soon
        self.is_under_way = False
        self.is_unsure = False
        """Whether this node freed the leadership is unknown."""

    async def hand_over(self, target: str, seconds: float) -> Leader:
        """Frees the leadership for that node, which is ready; this one takes and acknowledges nothing
        meanwhile. Who leads then. Raises RoleRefused: then this node leads again, or knows of nobody who
        does."""
        # Before anything is waited for: from now on this node may promise an epoch.
        self.is_under_way = True
        self._leadership.lost()
        try:
            await self._free(target)
            return await self._until_led(seconds)
        finally:
            self.is_under_way = False
            self._look_soon()

    async def _free(self, target: str) -> None:
        cluster, keys = await self._fresh()
        if cluster.leader is None or cluster.leader.node != self._me:
            raise RoleRefused("this node does not lead")
        heir = cluster.members.get(target)
        if heir is None:
            raise RoleRefused(f"{target[:8]} is not among the members")
        if (reason := why_not_eligible(heir, cluster, self._lag_bytes_max)) is not None:
            raise RoleRefused(f"{target[:8]} may not lead: {reason}")
        order = Put(keys.switchover, switchover_value(SwitchoverOrder(self._me, target)))
        mine = HasRevision(keys.leader, cluster.leader.revision)
        try:
            await self._etcd.txn([mine], [order, Delete(keys.leader)])
        except EtcdError as error:
            # It may be done, or still arrive. The looks that follow tell; written again, the leader's key has
            # another revision, and what arrives then fails.
            self.is_unsure = True
            log.warning("failover.order_unknown", reason=str(error))

    async def _until_led(self, seconds: float) -> Leader:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    cluster = await self._next_look()
                    leader = None if cluster is None else cluster.leader
                    if leader is not None and leader.begun and leader.node != self._me:
                        return leader
        except TimeoutError:
            raise RoleRefused("nobody took the leadership in time") from None
