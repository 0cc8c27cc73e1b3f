"""The rule in etcd while it changes: at every moment it says no more than what is true."""

from __future__ import annotations

import random

import pytest

from replicad.replication.policy.failover.cluster import Member, StatedRule
from replicad.replication.policy.failover.quorum import promises_needed
from replicad.replication.policy.failover.rules import Step, covers, is_newest, next_step


def wanted(count: int, *replicas: str, has_all: bool = True, epoch: int = 5) -> StatedRule:
    return StatedRule("p", epoch, count, frozenset(replicas), has_all, f"any {count}")


def stated(count: int, *replicas: str, has_all: bool = True, epoch: int = 5, leader: str = "p") -> StatedRule:
    return StatedRule(leader, epoch, count, frozenset(replicas), has_all, f"any {count}")


@pytest.mark.parametrize(
    ("before", "goal", "counted", "to_state", "when_held"),
    [
        # A new leader states nothing before enough replicas hold all that it has.
        (None, wanted(1, "a"), (1, "a"), stated(1, "a"), True),
        (stated(1, "a", leader="q", epoch=4), wanted(1, "b"), (1, "b"), stated(1, "b"), True),
        (stated(1, "a", epoch=4), wanted(1, "a"), (1, "a"), stated(1, "a"), True),
        (None, wanted(0, "a"), (0, "a"), stated(0, "a"), False),
        # Weaker: stated first, and counted once it is.
        (stated(2, "a", "b"), wanted(1, "a", "b"), (2, "ab"), stated(1, "a", "b"), False),
        (stated(1, "a"), wanted(1, "a", "b"), (1, "a"), stated(1, "a", "b"), False),
        (stated(1, "a"), wanted(0, "a"), (1, "a"), stated(0, "a"), False),
        (stated(1, "a"), wanted(1, "a", has_all=False), (1, "a"), stated(1, "a", has_all=False), False),
        # Stronger: counted first, and stated once what was acknowledged before is held.
        (stated(1, "a", "b"), wanted(2, "a", "b"), (2, "ab"), stated(2, "a", "b"), True),
        (stated(1, "a", "b"), wanted(1, "a"), (1, "a"), stated(1, "a"), True),
        (stated(0), wanted(1, "a"), (1, ""), stated(0, "a"), False),
        # Both at once: by way of the weaker of the two.
        (stated(2, "a", "b"), wanted(1, "b", "c"), (2, "b"), stated(1, "a", "b", "c"), False),
        (stated(1, "a", "b", "c"), wanted(1, "b", "c"), (1, "bc"), stated(1, "b", "c"), True),
        (stated(1, "a"), wanted(1, "a"), (1, "a"), None, False),
    ],
)
def test_the_next_step(
    before: StatedRule | None,
    goal: StatedRule,
    counted: tuple[int, str],
    to_state: StatedRule | None,
    *,
    when_held: bool,
) -> None:
    """The cases of the table."""
    step = next_step(before, goal)
    assert (step.count, step.replicas) == (counted[0], frozenset(counted[1]))
    if to_state is None or step.state is None:
        assert step.state is to_state
    else:
        assert (step.state.count, step.state.replicas, step.state.leader_has_all) == (
            to_state.count,
            to_state.replicas,
            to_state.leader_has_all,
        )
    assert step.when_held is when_held


def test_nothing_is_acknowledged_before_it_is_stated_by_this_leader() -> None:
    """Nor while etcd says that the leader has all durably, and it has not."""
    assert not covers(None, wanted(1, "a"))
    assert not covers(stated(1, "a", epoch=4), wanted(1, "a"))
    assert not covers(stated(1, "a", leader="q"), wanted(1, "a"))
    assert not covers(stated(1, "a"), wanted(1, "a", has_all=False))
    assert covers(stated(1, "a"), wanted(1, "a"))


@pytest.mark.parametrize("seed", range(200))
def test_a_candidate_finds_every_write_however_the_rule_changes(seed: int) -> None:
    """Rules are drawn, each is reached step by step, and between any two steps a write is acknowledged by as
    many as count then. Any candidate that has as many promises as etcd asks for finds all of them."""
    draw = random.Random(f"rules {seed}")
    nodes = "abcde"
    now: StatedRule | None = None
    held: list[frozenset[str]] = []
    for _ in range(6):
        replicas = draw.sample(nodes, draw.randint(1, 5))
        goal = wanted(draw.randint(0, len(replicas)), *replicas, has_all=False)
        for _ in range(4):
            step = next_step(now, goal)
            if covers(now, goal) and len(step.replicas) >= step.count > 0:
                held.append(frozenset(draw.sample(sorted(step.replicas), step.count)))
            _check_found(now, held, seed)
            if step.state is not None:
                if step.when_held:
                    held = [_brought_up(each, step, draw) for each in held]
                now = step.state
            if now is not None and now.count:
                _check_found(now, held, seed)
            else:
                held = []  # Where writes wait for nobody, a failover may lose some, and says so.


def member(name: str, *, promised: int = 0, epoch: int | None = 5) -> Member:
    return Member(name, name, "", "", "following", epoch, 1, True, 100, False, promised)


@pytest.mark.parametrize(
    ("said", "there", "expected"),
    [
        (stated(0), [], True),
        (stated(1, "a", "b"), [member("a")], True),
        (stated(1, "a", "b"), [member("a", promised=5)], True),
        # A successor had two promises of three: two that did not give one are proof, one is not.
        (stated(2, "a", "b", "c"), [member("a"), member("b")], True),
        (stated(2, "a", "b", "c"), [member("a"), member("d")], False),
        (stated(2, "a", "b", "c"), [member("a"), member("b", promised=6)], False),
        # All promised, and nobody began.
        (stated(1, "a", "b"), [member("a", promised=6), member("b", promised=6)], True),
        (stated(1, "a", "b"), [member("a", promised=6), member("b", promised=6, epoch=6)], False),
        (stated(1, "a", "b"), [member("a", promised=6), member("b", promised=6, epoch=None)], False),
        (stated(1, "a", "b"), [member("a", promised=6)], False),
    ],
)
def test_a_rule_that_etcd_lost_is_the_newest(
    said: StatedRule, there: list[Member], *, expected: bool
) -> None:
    """Only where no successor of that leader can have stated another one."""
    assert is_newest(said, {each.node: each for each in there}) is expected


def _check_found(now: StatedRule | None, held: list[frozenset[str]], seed: int) -> None:
    if now is None or not now.count:
        return
    for holders in held:
        lacking = now.replicas - holders
        assert len(lacking) < promises_needed(now), f"seed {seed}: {sorted(lacking)} lack a write: {now}"


def _brought_up(holders: frozenset[str], step: Step, draw: random.Random) -> frozenset[str]:
    """As many replicas as the step asks for hold it now; a replica never loses what it holds."""
    there = holders & step.replicas
    missing = max(0, step.count - len(there))
    return holders | frozenset(draw.sample(sorted(step.replicas - there), missing))
