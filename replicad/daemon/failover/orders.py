"""What an operator is shown of the failover, and orders: satisfies the server's `Failover`."""

from __future__ import annotations

from typing import Any

from replicad.daemon.failover.agent import FailoverAgent
from replicad.daemon.failover.document import failover_document
from replicad.errors import EtcdError, RoleRefused
from replicad.etcd.calls import Delete, Put


class FailoverOrders:
    """Belongs to the event loop. Every order raises RoleRefused."""

    def __init__(self, agent: FailoverAgent) -> None:
        self._agent = agent

    def document(self) -> dict[str, Any]:
        return failover_document(self._agent)

    async def pause(self, *, paused: bool) -> bool:
        cluster, keys = await self._agent.fresh()
        order = Put(keys.pause, b"true") if paused else Delete(keys.pause)
        try:
            await self._agent.etcd.txn([], [order])
        except EtcdError as error:
            raise RoleRefused(f"whether that is done is unknown: {error}") from error
        self._agent.look_soon()
        return cluster.paused != paused

    async def remove(self, node: str) -> None:
        cluster, keys = await self._agent.fresh()
        found = sorted(each for each in cluster.failsafe or () if each.startswith(node))
        if len(node) < 4 or len(found) != 1:
            known = ", ".join(sorted(cluster.failsafe or ())) or "none"
            raise RoleRefused(f"{node!r} does not begin the id of one member; members are: {known}")
        try:
            await self._agent.leading.remove(found[0], cluster, keys)
        except EtcdError as error:
            raise RoleRefused(f"whether that is done is unknown: {error}") from error
        self._agent.look_soon()
