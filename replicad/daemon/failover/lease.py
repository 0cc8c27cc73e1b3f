"""The lease of a node in etcd: granted, prolonged, and given back. One for all keys of the node.

Belongs to the event loop.
"""

from __future__ import annotations

from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.errors import EtcdError
from replicad.etcd.calls import Etcd, EtcdLease

log = get_logger("replicad.daemon")


class NodeLease:
    def __init__(self, etcd: Etcd, clock: Clock, *, ttl_seconds: int, keepalive_seconds: float) -> None:
        self._etcd = etcd
        self._clock = clock
        self._ttl_seconds = ttl_seconds
        self._keepalive_seconds = keepalive_seconds
        self._lease: EtcdLease | None = None

    @property
    def id(self) -> int:
        """0 without one."""
        return 0 if self._lease is None else self._lease.id

    @property
    def kept_at(self) -> float:
        """When the request that prolonged it last was sent; only while there is one."""
        assert self._lease is not None
        return self._lease.sent_at

    async def keep(self) -> bool:
        """Prolongs it when that is due, and gets one where there is none. False when the former one has
        ended: all that was put with it is gone. Raises EtcdError."""
        lease = self._lease
        if lease is None:
            self._lease = await self._etcd.grant(self._ttl_seconds)
            return False
        if self._clock.awake() - lease.sent_at < self._keepalive_seconds:
            return True
        kept = await self._etcd.keep_alive(lease.id)
        if kept.ttl_seconds > 0:
            self._lease = kept
            return True
        log.warning("failover.lease_ended", ttl_seconds=self._ttl_seconds)
        # Until there is another one: what is put with this one is refused, and without one would stay for
        # good.
        self._lease = await self._etcd.grant(self._ttl_seconds)
        return False

    async def give_back(self) -> None:
        """What was put with it goes at once."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            await self._etcd.revoke(lease.id)
        except EtcdError as error:
            log.warning("failover.lease_not_given_back", reason=str(error))
