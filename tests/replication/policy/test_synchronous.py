"""Rules of synchronous replication: what they say, who satisfies them, and how writes wait for them.

The first two are tables in tests/testdata/synchronous.
"""

from __future__ import annotations

import asyncio

import pytest

from replicad.errors import InvalidArgument
from replicad.replication.policy.synchronous import Level, WaitedReplica, parse_rule, satisfied_through
from replicad.replication.primary.waits import Acknowledged, Waits
from replicad.replication.wire.messages import Ack
from tests.support.cases import Case, cases
from tests.support.waiting import until


def rule_of(case: Case) -> str:
    text = case["rule"]
    if len(text) < 2 or text[0] + text[-1] != '""':
        raise case.error("a rule stands between quotes")
    return text[1:-1]


@pytest.mark.parametrize("case", cases("synchronous/rules"), ids=str)
def test_what_rules_say_and_what_is_refused(case: Case) -> None:
    """Spaces and case do not matter; nonsense, and what can never hold, is an error that says why."""
    try:
        rule = parse_rule(rule_of(case))
    except InvalidArgument as refusal:
        case.expect(f"refused: {refusal}")
        return

    # What is printed reads the same again.
    assert rule is None or parse_rule(str(rule)) == rule
    names = "all" if rule is None or not rule.names else " ".join(rule.names)
    case.expect("no rule" if rule is None else f"{rule.kind} {rule.count}, names: {names}")


def replica(text: str) -> WaitedReplica:
    """One without a name is called by its node id, which begins with 0 here."""
    called, _, sequence = text.partition(" at ")
    has_name = not called.startswith("0")
    return WaitedReplica(called if has_name else "", f"0{called}" if has_name else called, int(sequence))


@pytest.mark.parametrize("case", cases("synchronous/holds"), ids=str)
def test_who_satisfies_a_rule(case: Case) -> None:
    """The newest sequence number for which it holds, 0 while there are too few replicas."""
    rule = parse_rule(rule_of(case))
    assert rule is not None
    connected = [] if case["replicas"] == "none" else case["replicas"].split(", ")
    through = satisfied_through(rule, [replica(text) for text in connected])
    case.expect(f"holds through {through}" if through else "holds for nothing")


def waits(acknowledged: list[Acknowledged], rule: str = "") -> Waits:
    return Waits(lambda: acknowledged, lambda _: None, rule=parse_rule(rule), level=Level.DURABLE)


def test_without_a_rule_nothing_waits() -> None:
    """What is visible may be answered."""
    assert waits([]).released(17) == 17


def test_a_rule_releases_what_its_replicas_hold_and_never_takes_it_back() -> None:
    """At its level only; a replica that goes does not make what was true untrue."""
    acknowledged: list[Acknowledged] = [("a", "0a", Ack(9, 8, 7))]
    made = waits(acknowledged, "any 1")
    told: list[int] = []
    end = made.subscribe(lambda: told.append(made.released(100)))
    assert made.released(100) == 0
    made.changed()
    acknowledged.clear()
    made.changed()
    assert told == [7, 7]
    assert made.released(5) == 5
    end()
    made.changed()
    assert len(told) == 2


def test_what_lacks_is_told() -> None:
    """The rule, its level, and who holds it."""
    made = waits([("a", "0a", Ack(9, 9, 9)), ("b", "0b", Ack(9, 9, 3))], "any 2")
    assert made.lacking(5) == "'any 2 durable' was asked for, durable on a"
    assert made.lacking(10) == "'any 2 durable' was asked for, durable on none"


async def test_a_wait_asks_and_ends_with_the_truth() -> None:
    """Replicas are asked to acknowledge at once; the answer is who holds it, in time or not."""
    acknowledged: list[Acknowledged] = [("a", "0a", Ack(9, 8, 7))]
    asked: list[int] = []
    made = Waits(lambda: acknowledged, asked.append)
    assert await made.wait("received", 1, 9, None) == ["a"]
    assert asked == []
    assert await made.wait("durable", 1, 9, 0.01) == []
    assert asked == [9]
    waiting = asyncio.create_task(made.wait("durable", 1, 9, None))
    await until(lambda: len(asked) == 2)
    acknowledged[0] = ("a", "0a", Ack(9, 9, 9))
    made.changed()
    assert await waiting == ["a"]
