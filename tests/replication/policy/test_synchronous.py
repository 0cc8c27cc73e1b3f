"""Rules of synchronous replication: what they mean, what they refuse, and who satisfies them."""

from __future__ import annotations

import asyncio

import pytest

from replicad.errors import InvalidArgument
from replicad.replication.policy.synchronous import Level, Rule, WaitedReplica, parse_rule, satisfied_through
from replicad.replication.primary.waits import Acknowledged, Waits
from replicad.replication.wire.messages import Ack
from tests.support.memory_connection import until


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        (" off ", None),
        ("any 2", Rule("any", 2)),
        ("ANY 1 of (a, b)", Rule("any", 1, ("a", "b"))),
        ("any 2 of(a,b)", Rule("any", 2, ("a", "b"))),
        ("first 1 of (paris-1, paris_2.x)", Rule("first", 1, ("paris-1", "paris_2.x"))),
    ],
)
def test_rules_are_read(text: str, expected: Rule | None) -> None:
    """Spaces and case do not matter, and what is printed reads the same again."""
    assert parse_rule(text) == expected
    if expected is not None:
        assert parse_rule(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2", "is not"),
        ("all", "is not"),
        ("any", "is not"),
        ("any -1", "is not"),
        ("any 0", "asks for 0"),
        ("any 3 of (a, b)", "asks for 3 replicas of 2"),
        ("any 1 of (a, a)", "twice"),
        ("any 1 of (a,)", "'' is not a name"),
        ("any 1 of (a b)", "'a b' is not a name"),
        ("any 1 of ()", "'' is not a name"),
        ("any 1 of (a", "is not"),
        ("any 1 of", "is not"),
        ("any 1 (a)", "is not"),
        ("first 1", "needs the names"),
        ("any 99999", "is not"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, why: str) -> None:
    """Nonsense, and what could never be satisfied, are errors that say what is wrong."""
    with pytest.raises(InvalidArgument) as raised:
        parse_rule(text)
    assert why in str(raised.value)


A, B, C = WaitedReplica("a", "0a", 10), WaitedReplica("b", "0b", 20), WaitedReplica("", "0c", 30)


@pytest.mark.parametrize(
    ("rule", "peers", "expected"),
    [
        ("any 1", [], 0),
        ("any 1", [A], 10),
        ("any 1", [A, B, C], 30),
        ("any 2", [A, B, C], 20),
        ("any 3", [A, B, C], 10),
        ("any 4", [A, B, C], 0),
        ("any 1 of (a, b)", [A, B, C], 20),
        ("any 2 of (a, b)", [A, B, C], 10),
        ("any 2 of (a, b)", [B, C], 0),
        ("first 1 of (a, b)", [A, B, C], 10),  # a is connected: b does not count
        ("first 1 of (a, b)", [B, C], 20),  # a is away: b takes its place
        ("first 1 of (b, a)", [A, B], 20),
        ("first 2 of (a, b, 0c)", [A, B, C], 10),
        ("first 2 of (a, b, 0c)", [B, C], 20),  # a node id stands for a name
        ("first 2 of (a, b)", [B], 0),
        ("first 1 of (x)", [A, B, C], 0),
    ],
)
def test_who_satisfies_a_rule(rule: str, peers: list[WaitedReplica], expected: int) -> None:
    """The newest sequence number for which it holds, 0 while there are too few replicas."""
    parsed = parse_rule(rule)
    assert parsed is not None
    assert satisfied_through(parsed, peers) == expected


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
