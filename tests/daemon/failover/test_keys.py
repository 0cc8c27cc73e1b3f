"""The keys in etcd: what is written is read again, and nothing else is believed."""

from __future__ import annotations

import json

import pytest

from replicad.daemon.failover.keys import (
    Keys,
    epoch_is,
    epoch_value,
    failsafe_value,
    leader_value,
    member_value,
    rule_value,
    status_value,
    switchover_value,
)
from replicad.errors import EtcdError
from replicad.etcd.calls import HasRevision, IsAbsent, Pair
from replicad.replication.policy.failover.cluster import (
    Cluster,
    Leader,
    Member,
    StatedRule,
    Status,
    SwitchoverOrder,
)

A, B = "0a" * 16, "0b" * 16
KEYS = Keys(bytes(16))
LEADER = Leader(A, 5, "a:1", "a:2", True, 7, 9)
RULE = StatedRule(A, 5, 1, frozenset({B}), True, "any 1")
MEMBER = Member(B, "b", "b:1", "b:2", "following", 5, 10, True, 100, delayed=False)
PAIRS = [
    Pair(KEYS.leader, leader_value(LEADER), 7, 9),
    Pair(KEYS.epoch, epoch_value(5), 8),
    Pair(KEYS.rule, rule_value(RULE), 11),
    Pair(KEYS.member(B), member_value(MEMBER), 12, 10),
    Pair(KEYS.failsafe, failsafe_value([A, B]), 13),
    Pair(KEYS.status, status_value(Status(5, 11, {B: 3})), 14),
    Pair(KEYS.switchover, switchover_value(SwitchoverOrder(A, B)), 15),
    Pair(KEYS.pause, b"true", 16),
]


def test_what_is_written_is_read_again() -> None:
    """All keys of a database; those that a later version has are passed over."""
    later = Pair(KEYS.prefix + b"something", b"\xff", 20)
    assert KEYS.read([*PAIRS, later]) == Cluster(
        LEADER,
        5,
        8,
        RULE,
        11,
        {B: MEMBER},
        frozenset({A, B}),
        Status(5, 11, {B: 3}),
        SwitchoverOrder(A, B),
        True,
    )
    assert KEYS.read([]) == Cluster()


def test_a_claim_compares_what_was_read() -> None:
    """Also that there was nothing."""
    assert epoch_is(KEYS.read(PAIRS), KEYS) == HasRevision(KEYS.epoch, 8)
    assert epoch_is(Cluster(), KEYS) == IsAbsent(KEYS.epoch)


@pytest.mark.parametrize("pair", PAIRS[:-1], ids=lambda pair: pair.key.decode()[43:])
def test_what_cannot_be_read_is_unknown(pair: Pair) -> None:
    """It is not taken for nothing, and ends no node: the key is named."""
    value = json.loads(pair.value)
    wrong = [b"", b"\xff", b"null", b"[[]]", b'{"a":1}', b'"text"', b"[" * 2000, b"1.5", b"true"]
    if isinstance(value, dict):
        wrong += [json.dumps({**value, name: {"x": 1}}).encode() for name in value if name != "lag_bytes"]
        wrong += [
            json.dumps({**value, name: "zz"}).encode() for name in ("node", "leader", "to") if name in value
        ]
        wrong += [json.dumps({**value, "replicas": ["zz"]}).encode()] if "replicas" in value else []
        wrong += [json.dumps({**value, "lag_bytes": {"a": "b"}}).encode()] if "lag_bytes" in value else []
        numbers = [name for name in ("epoch", "sequence", "count") if name in value]
        wrong += [json.dumps({**value, name: 1 << 70}).encode() for name in numbers]
        wrong += [json.dumps({**value, name: -1}).encode() for name in numbers]
    else:
        wrong += [b'["zz"]', b"[1]", b"[{}]", str(1 << 70).encode(), b"-1"]
    for each in wrong:
        with pytest.raises(EtcdError, match=pair.key.decode()):
            KEYS.read([Pair(pair.key, each, 1)])
