"""What a node does after a look at etcd, and who comes next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replicad.replication.policy.failover.cluster import (
    Cluster,
    Leader,
    Member,
    StatedRule,
    Status,
    SwitchoverOrder,
)
from replicad.replication.policy.failover.election import lag_of, order, too_few, why_not_eligible
from replicad.replication.policy.failover.turn import Me, Pace, Turn, decide

PACE = Pace(step_seconds=0.5, patience_seconds=5.0, lag_bytes_max=1000)
LEASE = 7


def member(node: str, *, epoch: int | None = 4, sequence: int = 100, priority: int = 100) -> Member:
    return Member(
        node, node, f"{node}:1", f"{node}:2", "following", epoch, sequence, True, priority, delayed=False
    )


def leader(node: str, epoch: int = 4, *, begun: bool = True, lease: int = LEASE) -> Leader:
    return Leader(node, epoch, f"{node}:1", f"{node}:2", begun, 10, lease)


MEMBERS = {node: member(node) for node in "abc"}
CLUSTER = Cluster(
    epoch=4,
    epoch_revision=3,
    rule=StatedRule("p", 4, 1, frozenset("ab"), True, "any 1"),
    members=MEMBERS,
    failsafe=frozenset("pabc"),
)
ASYNC = replace(CLUSTER, rule=StatedRule("p", 4, 0, frozenset("ab"), True))
STATED = replace(CLUSTER, leader=leader("p"))
ORDERED = replace(CLUSTER, switchover=SwitchoverOrder("p", "b"))
PRIMARY = Me("p", is_primary=True, epoch=4, promised=0, lease=LEASE)
REPLICA = Me("a", is_primary=False, epoch=4, promised=0, lease=LEASE, absent_seconds=60.0)


@pytest.mark.parametrize(
    ("me", "cluster", "turn"),
    [
        (PRIMARY, replace(CLUSTER, leader=leader("p")), Turn.LEAD),
        (PRIMARY, replace(CLUSTER, leader=leader("p", lease=8)), Turn.RECLAIM),
        (PRIMARY, CLUSTER, Turn.RECLAIM),
        (PRIMARY, Cluster(), Turn.RECLAIM),
        (PRIMARY, replace(CLUSTER, leader=leader("a", 5), epoch=5), Turn.STEP_DOWN),
        (PRIMARY, replace(CLUSTER, leader=leader("a", 5, begun=False), epoch=5), Turn.STEP_DOWN),
        # Somebody claimed a later epoch, and is gone: it may have begun it.
        (PRIMARY, replace(CLUSTER, epoch=5), Turn.STEP_DOWN),
        (PRIMARY, Cluster(epoch=5, epoch_revision=3), Turn.STEP_DOWN),
        # Another etcd than before, which knows nothing of what a member has promised, or this node.
        (PRIMARY, replace(STATED, members={"a": replace(member("a"), promised=5)}), Turn.STEP_DOWN),
        (PRIMARY, replace(STATED, rule=None, members={"a": replace(member("a"), promised=5)}), Turn.LEAD),
        (replace(PRIMARY, promised=5), Cluster(), Turn.STEP_DOWN),
        # Two primaries, made without etcd.
        (PRIMARY, replace(CLUSTER, leader=leader("a", 3)), Turn.WAIT),
        (replace(PRIMARY, is_busy=True), CLUSTER, Turn.WAIT),
        (replace(PRIMARY, is_busy=True), replace(CLUSTER, leader=leader("a", 5)), Turn.STEP_DOWN),
        (REPLICA, replace(CLUSTER, leader=leader("b")), Turn.FOLLOW),
        (REPLICA, replace(CLUSTER, leader=leader("b", begun=False)), Turn.WAIT),
        # A claim of a former life.
        (REPLICA, replace(CLUSTER, leader=leader("a")), Turn.GIVE_UP),
        (replace(REPLICA, is_busy=True), replace(CLUSTER, leader=leader("a")), Turn.WAIT),
        (REPLICA, CLUSTER, Turn.CLAIM),
        (replace(REPLICA, holds_still="it was started"), CLUSTER, Turn.WAIT),
        (REPLICA, replace(CLUSTER, paused=True), Turn.WAIT),
        (REPLICA, replace(CLUSTER, paused=True, switchover=SwitchoverOrder("p", "a")), Turn.CLAIM),
        # etcd is new, or lost its data: who is primary may not have looked at it yet.
        (REPLICA, Cluster(members=MEMBERS), Turn.WAIT),
        (replace(REPLICA, node="x"), CLUSTER, Turn.WAIT),
        # c does not count, and a alone is not enough.
        (replace(REPLICA, node="c"), CLUSTER, Turn.WAIT),
        (REPLICA, replace(CLUSTER, members={"a": member("a")}), Turn.WAIT),
        # An order names another node; after a while nobody waits for that one.
        (
            replace(REPLICA, absent_seconds=4.0),
            replace(CLUSTER, switchover=SwitchoverOrder("p", "b")),
            Turn.WAIT,
        ),
        (
            replace(REPLICA, absent_seconds=6.0),
            replace(CLUSTER, switchover=SwitchoverOrder("p", "b")),
            Turn.CLAIM,
        ),
        # The order: a before b, which has its time later.
        (replace(REPLICA, absent_seconds=0.0), CLUSTER, Turn.CLAIM),
        (replace(REPLICA, node="b", absent_seconds=0.0), CLUSTER, Turn.WAIT),
        (replace(REPLICA, node="b", absent_seconds=0.6), CLUSTER, Turn.CLAIM),
    ],
)
def test_the_turn_of_a_node(me: Me, cluster: Cluster, turn: Turn) -> None:
    """The cases of the tables."""
    assert decide(me, cluster, PACE).turn is turn


@pytest.mark.parametrize(
    ("changed", "cluster", "why"),
    [
        ({}, CLUSTER, None),
        ({"candidate": False}, CLUSTER, "candidate = false"),
        ({"epoch": None}, CLUSTER, "no data"),
        ({"delayed": True}, CLUSTER, "applies late"),
        ({}, replace(CLUSTER, failsafe=frozenset("pb")), "counted it as a member"),
        ({"node": "c"}, CLUSTER, "waited for its acknowledgements"),
        ({"node": "p"}, CLUSTER, None),
        # What an etcd says that was never told anything, or lost it.
        ({}, replace(CLUSTER, failsafe=None), "counted it as a member"),
        ({}, replace(CLUSTER, rule=None), "whom it waits for"),
        ({"node": "c"}, ASYNC, None),
        ({}, replace(ASYNC, status=Status(4, 200, {"a": 1001})), "1001 bytes"),
        ({}, replace(ASYNC, status=Status(4, 200, {"a": 1000})), None),
        # It has reached that since.
        ({"sequence": 200}, replace(ASYNC, status=Status(4, 200, {"a": 1001})), None),
    ],
)
def test_who_may_lead(changed: dict[str, object], cluster: Cluster, why: str | None) -> None:
    """The cases of the table, and the reason in words."""
    reason = why_not_eligible(replace(member("a"), **changed), cluster, 1000)  # type: ignore[arg-type]
    assert (reason is None) == (why is None)
    assert why is None or why in str(reason)


def test_the_order_in_which_they_would_lead() -> None:
    """By priority, then by how far they are; those that may not come last, the leader is left out."""
    members = {
        "a": member("a", sequence=90),
        "b": member("b", sequence=100),
        "c": member("c", priority=200),
        "p": member("p"),
    }
    cluster = replace(CLUSTER, members=members, leader=leader("p"), rule=ASYNC.rule)
    assert [each.member.node for each in order(cluster, 1000)] == ["c", "b", "a"]
    counted = replace(cluster, rule=CLUSTER.rule)
    assert [each.member.node for each in order(counted, 1000)] == ["b", "a", "c"]
    ordered = replace(cluster, switchover=SwitchoverOrder("p", "a"))
    assert [each.member.node for each in order(ordered, 1000)] == ["a", "c", "b"]


def test_too_few_nodes_for_a_promotion() -> None:
    """The former leader alone would do, if all that it acknowledged is durable there."""
    assert too_few(CLUSTER) is None
    alone = replace(CLUSTER, members={"a": member("a")})
    assert "2 of the 2" in str(too_few(alone))
    assert too_few(replace(CLUSTER, members={"p": member("p")})) is None
    assert too_few(replace(alone, rule=None)) is None


def test_what_a_node_lacked() -> None:
    """As the leader said last; nothing where the node has reached that since."""
    cluster = replace(CLUSTER, status=Status(4, 100, {"a": 500}))
    assert lag_of(member("a", sequence=99), cluster) == 500
    assert lag_of(member("a", sequence=100), cluster) == 0
    assert lag_of(member("a", epoch=5, sequence=1), cluster) == 0
