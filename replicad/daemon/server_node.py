"""The node as its server sees it: what clients ask of more than the store. Belongs to the event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from replicad.daemon.backups.on_request import NodeBackups
from replicad.daemon.config.setting import shown_values
from replicad.daemon.data.delay import NodeDelay
from replicad.daemon.data.verification import DataVerification
from replicad.daemon.failover.agent import FailoverAgent
from replicad.daemon.failover.orders import FailoverOrders
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.reload import Reload
from replicad.daemon.roles.following import Following
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.pause_detector import PauseDetector
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.promotion import Promotion
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.roles.switchover import Switchover
from replicad.daemon.status import NodeStatus, replica_views
from replicad.env.events import get_logger
from replicad.errors import CorruptionError, InvalidArgument, RoleRefused
from replicad.net.addresses import address_of
from replicad.replication.options import ReplicationOptions
from replicad.replication.policy.apply_delay import PausePoint
from replicad.replication.policy.synchronous import Level, parse_rule
from replicad.replication.primary.feed_slots import FeedSlots
from replicad.replication.primary.waits import Waits
from replicad.replication.replica.freshness import why_refused, why_stale
from replicad.replication.replica.link_state import LinkState
from replicad.replication.traffic import Traffic
from replicad.server import ReplicaView, SentinelView

log = get_logger("replicad.daemon")


class ServedNode:
    """Satisfies the server's `Node`, which describes the methods."""

    def __init__(
        self,
        options: ReplicationOptions,
        *,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        peers: Peers,
        link: NodeLink,
        pauses: PauseDetector,
        promotion: Promotion,
        following: Following,
        switchover: Switchover,
        verification: DataVerification,
        backups: NodeBackups,
        delay: NodeDelay,
        status: NodeStatus,
        reload: Reload,
        traffic: Traffic,
        links: Callable[[], list[dict[str, Any]]],
        failover: FailoverAgent | None = None,
    ) -> None:
        self._failover = failover
        self._orders = None if failover is None else FailoverOrders(failover)
        self._options = options
        self._standing = standing
        self._store = store
        self._memory = memory
        self._peers = peers
        self._link = link
        self._pauses = pauses
        self._promotion = promotion
        self._following = following
        self._switchover = switchover
        self._verification = verification
        self._backups = backups
        self._delay = delay
        self._status = status
        self._reload = reload
        self.traffic = traffic
        self._links = links
        # While the data is exchanged no replica is connected. A write that waits for replicas must wait then,
        # and not be answered as if none had been asked for.
        self._no_waits = Waits(lambda: [], lambda _: None, rule=parse_rule(options.synchronous))

    def reconfigure(self, options: ReplicationOptions) -> None:
        """Takes over when reads are refused, and what writes wait for."""
        self._options = options
        self._no_waits.reconfigure(
            parse_rule(options.synchronous),
            Level(options.synchronous_level),
            options.synchronous_seconds_max,
        )
        if self._store.feed is not None:
            self._store.feed.reconfigure(options)

    # Its role.

    @property
    def role(self) -> Literal["primary", "replica"]:
        return self._standing.role

    @property
    def is_writable(self) -> bool:
        return self._standing.current.takes_writes

    def holds_writes(self) -> bool:
        # A process that stood still finds that out here, before it takes the write.
        self._pauses.check()
        return self._standing.current.holds_writes

    def holds_answers(self) -> bool:
        # The same, before it acknowledges.
        self._pauses.check()
        return self._standing.current.holds_answers

    async def promote(self, *, force: bool) -> str:
        if self._failover is not None:
            return await self._failover.promote(force=force)
        return await self._promotion.promote(force=force)

    async def follow(self, host: str, port: int) -> None:
        if self._failover is not None:
            raise RoleRefused("etcd says whom this node follows: replicad switchover changes who leads")
        await self._following.follow(host, port)

    async def rejoin(self, host: str | None, port: int) -> str:
        return await self._following.rejoin(host, port)

    async def pause_replica(self, *, sequence: int | None, time_us: int | None) -> dict[str, Any]:
        if self.role == "primary":
            raise InvalidArgument("this node is a primary: only a replica can stand still")
        wanted = None if sequence is None and time_us is None else PausePoint(sequence, time_us)
        point = await self._delay.pause_at(wanted)
        if self._link.follower is not None:
            self._link.follower.end_fetch()
        apply = self._store.apply
        at = None if apply is None else apply.applied_sequence
        return {"sequence": point.sequence, "time_us": point.time_us, "applied_sequence": at}

    async def resume_replica(self) -> bool:
        if self.role == "primary":
            raise InvalidArgument("this node is a primary: only a replica can stand still")
        return await self._delay.resume()

    async def switch_over(self, target: str | None, *, timeout_seconds: float | None) -> str:
        return await self._switchover.switch_over(target, timeout_seconds=timeout_seconds)

    @property
    def failover(self) -> FailoverOrders | None:
        return self._orders

    def cancel_switchover(self) -> bool:
        return self._switchover.cancel()

    # The node that it follows.

    @property
    def primary_address(self) -> tuple[str, int] | None:
        if self.role == "primary":
            return None
        return address_of(self._memory.primary_clients) or self._memory.primary

    @property
    def link_state(self) -> str:
        return "connected" if self.role == "primary" else self._link.role_word

    @property
    def stale_because(self) -> str | None:
        follower = self._link.follower
        if self.role == "primary":
            return None
        return (
            why_stale(LinkState.DOWN, None, self._options)
            if follower is None
            else follower.ages.stale_because
        )

    @property
    def reads_refused(self) -> str | None:
        doubted, follower = self._verification.reads_refused, self._link.follower
        if doubted is not None or self.role == "primary":
            return doubted
        return (
            why_refused(LinkState.DOWN, None, self._options)
            if follower is None
            else follower.ages.reads_refused
        )

    @property
    def primary_heard_seconds(self) -> float | None:
        follower = self._link.follower
        return None if self.role == "primary" or follower is None else follower.ages.newest_age_seconds

    # The nodes that follow it.

    def replicas(self) -> list[ReplicaView]:
        return [] if self._store.feed is None else replica_views(self._store.feed)

    def sentinel(self) -> SentinelView | None:
        return None if self._failover is None else self._failover.sentinel()

    @property
    def waits(self) -> Waits:
        return self._no_waits if self._store.feed is None else self._store.feed.waits

    @property
    def copy_bytes_per_second(self) -> int:
        return 0 if self._store.feed is None else self._store.feed.copy_bytes_per_second

    def throttle_copies(self, bytes_per_second: int) -> None:
        if self._store.feed is not None:
            self._store.feed.copy_bytes_per_second = bytes_per_second
            log.info("bootstrap.throttled", bytes_per_second=bytes_per_second)

    def drop_slot(self, node_id: bytes) -> bool:
        # The node is forgotten as well, here and at the replicas: it is gone, or it comes back by itself.
        feed, known = self._store.feed, self._peers.forget(node_id)
        if feed is None:
            return known
        dropped = feed.drop_slot(node_id)
        feed.tell_nodes((node_id,))
        return dropped or known

    @property
    def feed_slots(self) -> FeedSlots | None:
        return None if self._store.feed is None else self._store.feed.feed_slots

    # Its configuration.

    async def reload(self) -> dict[str, Any]:
        return await self._reload.reload()

    def links(self) -> list[dict[str, Any]]:
        return self._links()

    def settings(self) -> dict[str, str]:
        return shown_values(self._reload.config)

    def change_settings(self, texts: Mapping[str, str]) -> None:
        self._reload.set(texts)

    async def keep_settings(self) -> Path:
        return await self._reload.rewrite()

    # Its data.

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, Any]:
        return await self._backups.create(self._store.database, target, flush=flush, metadata=metadata)

    def stop_backup(self) -> bool:
        return self._backups.stop()

    def found_corruption(self, error: CorruptionError) -> None:
        self._verification.found_corruption(error)

    def order_repair(self, reason: str) -> None:
        self._verification.order_repair(reason)

    def status(self) -> dict[str, Any]:
        return self._status.document()
