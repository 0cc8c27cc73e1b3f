"""Who waits for acknowledgements."""

from __future__ import annotations

import asyncio

from replicad.replication.policy.synchronous import Level, parse_rule
from replicad.replication.primary.waits import EVERYTHING, Waits
from replicad.replication.wire.messages import Ack
from tests.support.waiting import until


async def test_a_wait_leaves_nothing_behind() -> None:
    """Neither one that was satisfied, nor one whose time was over, nor one that was given up: where no
    replicas are, nothing else would ever clear them away."""
    acknowledged: list[tuple[str, str, Ack]] = []
    waits = Waits(lambda: acknowledged, lambda sequence: None)
    assert await waits.wait("durable", 1, 5, 0.001) == []
    assert not waits._waiters
    begun = [asyncio.ensure_future(waits.wait("durable", 1, 5, None)) for _ in range(2)]
    await until(lambda: len(waits._waiters) == 2)
    begun[0].cancel()
    await asyncio.gather(begun[0], return_exceptions=True)
    assert len(waits._waiters) == 1
    acknowledged.append(("r", "", Ack(5, 5, 5)))
    waits.changed()
    assert await begun[1] == ["r"]
    assert not waits._waiters


async def test_a_rule_that_changes_counts_for_the_writes_that_wait() -> None:
    """A new rule has connected replicas asked at once. Without one nothing waits. What was satisfied stays
    so."""
    acknowledged = [("a", "", Ack(9, 9, 5)), ("b", "", Ack(3, 3, 3))]
    asked: list[int] = []
    moved: list[bool] = []
    waits = Waits(lambda: acknowledged, asked.append)
    waits.subscribe(lambda: moved.append(True))
    assert waits.released(9) == 9

    waits.reconfigure(parse_rule("any 1"), Level.DURABLE, 1.0)
    assert (waits.released(9), asked, moved) == (5, [EVERYTHING], [True])
    waits.reconfigure(parse_rule("any 1"), Level.APPLIED, 2.0)
    assert (waits.released(9), waits.timeout_seconds, waits.describe()) == (9, 2.0, "any 1 applied")
    acknowledged[0] = ("a", "", Ack(7, 7, 7))
    waits.reconfigure(parse_rule("any 2"), Level.APPLIED, 2.0)
    assert (waits.released(8), waits.released(12)) == (8, 9)
    waits.reconfigure(None, Level.DURABLE, 2.0)
    assert (waits.released(12), len(moved)) == (12, 4)


async def test_a_failover_says_which_replicas_count() -> None:
    """How many of them, too, whatever is configured; what else asks for acknowledgements asks all."""
    acknowledged = [("a", "aa", Ack(9, 9, 9)), ("b", "bb", Ack(5, 5, 5)), ("c", "cc", Ack(3, 3, 3))]
    waits = Waits(lambda: acknowledged, lambda sequence: None, rule=parse_rule("any 1"))
    waits.count_by(1, frozenset({"bb", "cc"}))
    assert (waits.released(9), waits.describe()) == (5, "any 1 durable")
    waits.count_by(2, frozenset({"bb", "cc"}))
    assert waits.rule is not None and waits.rule.count == 2
    assert waits.held_by(2, frozenset({"bb", "cc"})) == 3
    assert waits.held_by(1, frozenset({"aa"})) == 9
    assert waits.held_by(2, frozenset({"aa"})) == 0
    assert waits.holders("durable", 9) == ["a"]
    waits.count_by(0, frozenset())
    assert waits.rule is None and waits.released(12) == 12
    waits.reconfigure(None, Level.DURABLE, 1.0)
    waits.count_by(1, frozenset({"aa"}))
    assert waits.describe() == "any 1 durable" and waits.released(12) == 9
