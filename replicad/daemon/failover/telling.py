"""When a node writes into etcd how it is: each write stays in etcd's history until that is compacted.

    member   when anything but its position has changed, or its lease has; its position now and then
    status   of a leader: at every look where a promotion goes by it, else now and then

While nobody leads, the order of the candidates goes by their positions: then each is told at once.
"""

from __future__ import annotations

from dataclasses import replace

from replicad.replication.policy.failover.cluster import Member, Status

TOLD_SECONDS = 5.0
"""Between two that say no more than that the log has grown."""


class Telling:
    def __init__(self) -> None:
        self._member: Member | None = None
        self._lease = 0
        self._member_at = self._status_at = float("-inf")
        self._status: Status | None = None

    def saw(self, member: Member | None, status: Status | None) -> None:
        """What etcd holds: somebody may have removed this node; an etcd that lost its data has neither."""
        if member is None:
            self._member = None
        if status is None:
            self._status, self._status_at = None, float("-inf")

    def is_member_due(self, member: Member, lease: int, now: float, *, is_led: bool) -> bool:
        told = self._member
        if told is None or lease != self._lease:
            return True
        if replace(told, epoch=member.epoch, sequence=member.sequence) != member:
            return True
        return member != told and (not is_led or now - self._member_at >= TOLD_SECONDS)

    def told_member(self, member: Member, lease: int, now: float) -> None:
        """It is in etcd."""
        self._member, self._lease, self._member_at = member, lease, now

    def is_status_due(self, now: float, *, decides: bool) -> bool:
        """Whether one that is news is to be told. `decides`: whether a promotion goes by it, as where writes
        wait for no replica."""
        return decides or now - self._status_at >= TOLD_SECONDS

    def is_news(self, status: Status) -> bool:
        return status != self._status

    def told_status(self, status: Status, now: float) -> None:
        self._status, self._status_at = status, now
