"""Whether those who promised hold every acknowledged write."""

from __future__ import annotations

from itertools import combinations

import pytest

from replicad.replication.policy.failover.cluster import StatedRule
from replicad.replication.policy.failover.quorum import HowFar, furthest, promises_needed, why_not_enough


def rule(count: int, *replicas: str, has_all: bool = True) -> StatedRule:
    return StatedRule("p", 1, count, frozenset(replicas), has_all, f"any {count}")


@pytest.mark.parametrize(
    ("stated", "promised", "enough"),
    [
        (None, {"a"}, True),
        (rule(0, "a", "b"), {"a"}, True),
        (rule(1, "a", "b"), {"a"}, False),
        (rule(1, "a", "b"), {"a", "b"}, True),
        (rule(2, "a", "b"), {"a"}, True),
        (rule(1, "a", "b", "c"), {"a", "b"}, False),
        (rule(2, "a", "b", "c"), {"a", "b"}, True),
        # A node that does not count proves nothing.
        (rule(1, "a", "b"), {"a", "x"}, False),
        # The former leader has all, if it is durable there.
        (rule(1, "a", "b"), {"p"}, True),
        (rule(1, "a", "b", has_all=False), {"p"}, False),
        (rule(1, "a", "b", has_all=False), {"p", "a", "b"}, True),
    ],
)
def test_how_many_promises_are_enough(stated: StatedRule | None, promised: set[str], *, enough: bool) -> None:
    """n - k + 1 of the replicas that count."""
    assert (why_not_enough(stated, promised) is None) is enough


@pytest.mark.parametrize(("count", "n"), [(k, n) for n in range(1, 6) for k in range(1, n + 1)])
def test_one_of_those_who_promised_holds_every_write(count: int, n: int) -> None:
    """Whichever replicas acknowledged it. With one promise less there is a write that none of them holds."""
    replicas = "abcde"[:n]
    stated = rule(count, *replicas, has_all=False)
    needed = promises_needed(stated)
    for holders in combinations(replicas, count):
        assert all(set(holders) & set(asked) for asked in combinations(replicas, needed))
    assert any(
        not set(holders) & set(asked)
        for holders in combinations(replicas, count)
        for asked in combinations(replicas, needed - 1)
    )


def test_who_has_most() -> None:
    """A later epoch counts for more than a longer log; of equals this node itself."""
    assert furthest("a", {"a": HowFar(1, 90), "b": HowFar(2, 10)}) == "b"
    assert furthest("a", {"a": HowFar(2, 10), "b": HowFar(2, 10)}) == "a"
