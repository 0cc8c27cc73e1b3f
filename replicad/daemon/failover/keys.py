"""The keys in etcd (docs/failover.md): their names, and what their values say, as JSON.

A value that this version cannot read raises EtcdError: what is unknown must not be taken for nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from replicad.errors import EtcdError
from replicad.etcd.calls import Compare, HasRevision, IsAbsent, Pair
from replicad.replication.policy.failover.cluster import (
    Cluster,
    Leader,
    Member,
    StatedRule,
    Status,
    SwitchoverOrder,
)

ROOT = "/replicad/"
_NODE = re.compile("[0-9a-f]{32}")
_NUMBER_END = 1 << 62
_Value = TypeVar("_Value")


class Keys:
    """Of one database. `prefix` is what all its keys begin with."""

    def __init__(self, database_id: bytes) -> None:
        self.prefix = f"{ROOT}{database_id.hex()}/".encode()
        self.leader = self.prefix + b"leader"
        self.epoch = self.prefix + b"epoch"
        self.rule = self.prefix + b"rule"
        self.failsafe = self.prefix + b"failsafe"
        self.status = self.prefix + b"status"
        self.switchover = self.prefix + b"switchover"
        self.pause = self.prefix + b"pause"

    def member(self, node: str) -> bytes:
        return self.prefix + b"members/" + node.encode()

    def read(self, pairs: Iterable[Pair]) -> Cluster:
        """What the pairs say; those of another version are ignored."""
        leader = rule = failsafe = status = switchover = None
        epoch = epoch_revision = rule_revision = 0
        paused = False
        members = {}
        for pair in pairs:
            if pair.key == self.leader:
                leader = _leader(pair)
            elif pair.key == self.epoch:
                epoch, epoch_revision = _number(pair, _checked(pair, int)), pair.revision
            elif pair.key == self.rule:
                rule, rule_revision = _rule(pair), pair.revision
            elif pair.key == self.failsafe:
                failsafe = _nodes(pair, _checked(pair, list))
            elif pair.key == self.status:
                status = _status(pair)
            elif pair.key == self.switchover:
                switchover = _switchover(pair)
            elif pair.key == self.pause:
                paused = True
            elif pair.key.startswith(self.prefix + b"members/"):
                member = _member(pair)
                members[member.node] = member
        return Cluster(
            leader,
            epoch,
            epoch_revision,
            rule,
            rule_revision,
            members,
            failsafe,
            status,
            switchover,
            paused,
        )


def epoch_is(cluster: Cluster, keys: Keys) -> Compare:
    """That nobody has claimed an epoch since the cluster was read."""
    if cluster.epoch_revision == 0:
        return IsAbsent(keys.epoch)
    return HasRevision(keys.epoch, cluster.epoch_revision)


# What the values are.


def leader_value(leader: Leader) -> bytes:
    return _json(
        node=leader.node,
        epoch=leader.epoch,
        replication=leader.replication,
        clients=leader.clients,
        begun=leader.begun,
    )


def epoch_value(epoch: int) -> bytes:
    return str(epoch).encode()


def rule_value(rule: StatedRule) -> bytes:
    return _json(
        leader=rule.leader,
        epoch=rule.epoch,
        count=rule.count,
        replicas=sorted(rule.replicas),
        leader_has_all=rule.leader_has_all,
        text=rule.text,
    )


def member_value(member: Member) -> bytes:
    return _json(
        node=member.node,
        name=member.name,
        replication=member.replication,
        clients=member.clients,
        standing=member.standing,
        epoch=member.epoch,
        sequence=member.sequence,
        candidate=member.candidate,
        priority=member.priority,
        delayed=member.delayed,
        promised=member.promised,
    )


def failsafe_value(nodes: Iterable[str]) -> bytes:
    return json.dumps(sorted(nodes)).encode()


def status_value(status: Status) -> bytes:
    return _json(epoch=status.epoch, sequence=status.sequence, lag_bytes=dict(status.lag_bytes))


def switchover_value(order: SwitchoverOrder) -> bytes:
    return _json(leader=order.leader, to=order.to)


def _json(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _checked(pair: Pair, kind: type[_Value]) -> _Value:
    try:
        value = json.loads(pair.value)
    except (ValueError, RecursionError):
        value = None
    if type(value) is not kind:
        raise _unreadable(pair)
    return value


def _number(pair: Pair, value: int) -> int:
    """Of an epoch or a batch, as data and messages hold it."""
    if not 0 <= value < _NUMBER_END:
        raise _unreadable(pair)
    return value


def _nodes(pair: Pair, values: Iterable[object]) -> frozenset[str]:
    return frozenset(_node(pair, value) for value in values)


def _node(pair: Pair, value: object) -> str:
    if not isinstance(value, str) or _NODE.fullmatch(value) is None:
        raise _unreadable(pair)
    return value


def _unreadable(pair: Pair) -> EtcdError:
    key = pair.key.decode(errors="replace")
    return EtcdError(f"{key} holds what this release cannot read: {pair.value[:100]!r}")


def _leader(pair: Pair) -> Leader:
    fields = _Fields(pair)
    return Leader(
        fields.node("node"),
        fields.number("epoch"),
        fields.of("replication", str),
        fields.of("clients", str),
        fields.of("begun", bool),
        pair.revision,
        pair.lease,
    )


def _rule(pair: Pair) -> StatedRule:
    fields = _Fields(pair)
    return StatedRule(
        fields.node("leader"),
        fields.number("epoch"),
        fields.number("count"),
        _nodes(pair, fields.of("replicas", list)),
        fields.of("leader_has_all", bool),
        fields.of("text", str),
    )


def _member(pair: Pair) -> Member:
    fields = _Fields(pair)
    has_data = fields.values.get("epoch") is not None
    return Member(
        fields.node("node"),
        fields.of("name", str),
        fields.of("replication", str),
        fields.of("clients", str),
        fields.of("standing", str),
        fields.number("epoch") if has_data else None,
        fields.number("sequence") if has_data else None,
        fields.of("candidate", bool),
        fields.of("priority", int),
        fields.of("delayed", bool),
        fields.number("promised"),
    )


def _status(pair: Pair) -> Status:
    fields = _Fields(pair)
    lags = fields.of("lag_bytes", dict)
    if not all(type(lag) is int for lag in lags.values()):
        raise _unreadable(pair)
    return Status(fields.number("epoch"), fields.number("sequence"), lags)


def _switchover(pair: Pair) -> SwitchoverOrder:
    fields = _Fields(pair)
    return SwitchoverOrder(fields.node("leader"), fields.node("to"))


class _Fields:
    """The fields of a value."""

    def __init__(self, pair: Pair) -> None:
        self.values = _checked(pair, dict)
        self._pair = pair

    def node(self, name: str) -> str:
        return _node(self._pair, self.of(name, str))

    def number(self, name: str) -> int:
        return _number(self._pair, self.of(name, int))

    def of(self, name: str, kind: type[_Value]) -> _Value:
        value = self.values.get(name)
        if type(value) is not kind:
            raise _unreadable(self._pair)
        return value
