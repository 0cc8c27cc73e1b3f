"""Until when a leader may acknowledge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replicad.replication.policy.failover.right import Right

LEADS = Right(5.0, 1.0, leads=True, is_stated=True, kept_at=100.0)


@pytest.mark.parametrize(
    ("right", "now", "may"),
    [
        (LEADS, 100.0, True),
        (LEADS, 103.999, True),
        # The lease may end at 105, and clocks may run unequally: the margin.
        (LEADS, 104.0, False),
        (replace(LEADS, leads=False), 100.0, False),
        (replace(LEADS, is_stated=False), 100.0, False),
        # All members vouch for it, however old the lease is.
        (replace(LEADS, vouched_at=110.0), 113.9, True),
        (replace(LEADS, vouched_at=110.0), 114.0, False),
        # The later of the two counts.
        (replace(LEADS, vouched_at=90.0), 103.9, True),
        (Right(5.0, 1.0), 0.0, False),
    ],
)
def test_until_when_a_leader_may_acknowledge(right: Right, now: float, may: bool) -> None:
    """The lease from the moment at which its request was sent, less the margin; or what all members said."""
    assert right.may_acknowledge(now) is may


def test_what_was_lost_does_not_come_back() -> None:
    """A node that leads again has not what a former leadership was kept for."""
    again = replace(replace(LEADS, vouched_at=100.0).lost(), leads=True, is_stated=True)
    assert not again.may_acknowledge(100.0)
