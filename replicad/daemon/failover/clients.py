"""How clients find the leader: what SENTINEL tells them, and that it is another one now.

Every node answers as a Redis Sentinel would, by what etcd said last. While nobody leads, no primary is named:
a client asks again then.
"""

from __future__ import annotations

from collections.abc import Callable

from replicad.net.addresses import Address, address_of
from replicad.replication.policy.failover.cluster import Cluster, Member
from replicad.replication.policy.failover.quorum import promises_needed
from replicad.replication.policy.roles import Standing
from replicad.server.interfaces import SentinelPeer, SentinelView

CHANNEL = b"+switch-master"


class LeaderAnnouncement:
    """Tells subscribed clients of every leader after the first one. `publish` takes a channel and a
    message."""

    def __init__(self, service_name: str, publish: Callable[[bytes, bytes], None]) -> None:
        self._service_name = service_name
        self._publish = publish
        self._last: Address | None = None

    def saw(self, cluster: Cluster) -> None:
        leader = cluster.leader
        now = address_of(leader.clients) if leader is not None and leader.begun else None
        if now is None or now == self._last:
            return
        before, self._last = self._last, now
        if before is not None:
            words = (self._service_name, before.host, before.port, now.host, now.port)
            self._publish(CHANNEL, " ".join(map(str, words)).encode())


def sentinel_view(me: str, service_name: str, ttl_seconds: float, cluster: Cluster | None) -> SentinelView:
    """What this node tells as a sentinel; None for `cluster` before etcd was reached."""
    cluster = cluster or Cluster()
    leader, rule = cluster.leader, cluster.rule
    primary = None
    if leader is not None and leader.begun and (where := address_of(leader.clients)) is not None:
        primary = SentinelPeer(node_id=leader.node, host=where.host, port=where.port, is_down=False)
    others = [
        member
        for member in cluster.members.values()
        if leader is None or not leader.begun or member.node != leader.node
    ]
    return SentinelView(
        service=service_name,
        node_id=me,
        primary=primary,
        epoch=cluster.epoch,
        replicas=tuple(_peer(member) for member in others if address_of(member.clients) is not None),
        sentinels=tuple(
            _peer(member)
            for member in cluster.members.values()
            if member.node != me and address_of(member.clients) is not None
        ),
        quorum=promises_needed(rule) if rule is not None and rule.count else 1,
        down_after_seconds=ttl_seconds,
    )


def _peer(member: Member) -> SentinelPeer:
    where = address_of(member.clients)
    assert where is not None
    return SentinelPeer(
        node_id=member.node,
        host=where.host,
        port=where.port,
        is_down=member.epoch is None,
        link_is_up=member.standing == Standing.FOLLOWING.value,
        offset=member.sequence or 0,
    )
