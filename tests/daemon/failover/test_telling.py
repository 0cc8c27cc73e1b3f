"""How often a node writes into etcd how it is."""

from __future__ import annotations

from dataclasses import replace

from replicad.daemon.failover.telling import TOLD_SECONDS, Telling
from replicad.replication.policy.failover.cluster import Member, Status

MEMBER = Member("a", "a", "a:1", "a:2", "following", 1, 10, True, 100, delayed=False)


def test_a_position_is_told_now_and_then_and_all_else_at_once() -> None:
    """While nobody leads a position is told at once, too: the order goes by it."""
    telling = Telling()
    assert telling.is_member_due(MEMBER, 7, 0.0, is_led=True)
    telling.told_member(MEMBER, 7, 0.0)
    further = replace(MEMBER, sequence=11)
    for member, lease, now, is_led, due in (
        (MEMBER, 7, 100.0, True, False),
        (further, 7, TOLD_SECONDS - 0.1, True, False),
        (further, 7, TOLD_SECONDS, True, True),
        (further, 7, 0.1, False, True),
        (MEMBER, 8, 0.1, True, True),
        (replace(further, standing="primary"), 7, 0.1, True, True),
        (replace(MEMBER, clients="b:2"), 7, 0.1, True, True),
    ):
        assert telling.is_member_due(member, lease, now, is_led=is_led) is due
    telling.saw(MEMBER, None)
    assert not telling.is_member_due(MEMBER, 7, 0.1, is_led=True)
    telling.saw(None, None)  # somebody removed it
    assert telling.is_member_due(MEMBER, 7, 0.1, is_led=True)


def test_how_far_replicas_are_is_told_at_every_look_where_a_promotion_goes_by_it() -> None:
    """Where writes wait for replicas, now and then."""
    telling = Telling()
    before, after = Status(1, 10, {}), Status(1, 11, {"a": 5})
    assert telling.is_status_due(0.0, decides=False) and telling.is_news(before)
    telling.told_status(before, 0.0)
    assert not telling.is_news(before)
    assert telling.is_status_due(0.1, decides=True) and telling.is_news(after)
    assert not telling.is_status_due(0.1, decides=False)
    assert telling.is_status_due(TOLD_SECONDS, decides=False)
    telling.told_status(after, TOLD_SECONDS)
    telling.saw(MEMBER, after)
    assert not telling.is_news(after)
    telling.saw(MEMBER, None)  # etcd lost its data
    assert telling.is_status_due(TOLD_SECONDS, decides=False) and telling.is_news(after)
