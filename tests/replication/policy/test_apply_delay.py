"""When a replica applies what it has received."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad.replication.policy.apply_delay import (
    ApplyRules,
    AtOpening,
    AtPromotion,
    PausePoint,
    WaitingBatch,
    at_opening,
    at_promotion,
    due,
    refuse_pause,
    wait_us,
)
from replicad.types import Epoch, HistoryHash, Position, Sequence

MINUTE_US = 60_000_000
NOON_US = 1_800_000_000_000_000
BATCH = WaitingBatch(last_sequence=100, commit_time_us=NOON_US)
MINUTE = ApplyRules(MINUTE_US)


def position(epoch: int, sequence: int) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(7 * epoch + sequence))


@pytest.mark.parametrize(
    ("says", "rules", "now_us", "wait"),
    [
        ("no delay", ApplyRules(), NOON_US, 0),
        ("no delay, committed in the future", ApplyRules(), NOON_US - MINUTE_US, 0),
        ("just committed", MINUTE, NOON_US, MINUTE_US),
        ("a microsecond early", MINUTE, NOON_US + MINUTE_US - 1, 1),
        ("exactly as old as the delay", MINUTE, NOON_US + MINUTE_US, 0),
        ("much older", MINUTE, NOON_US + 60 * MINUTE_US, 0),
        ("the clock was set back", MINUTE, NOON_US - MINUTE_US, 2 * MINUTE_US),
        ("paused at its end", ApplyRules(0, PausePoint(sequence=100)), NOON_US, 0),
        ("paused within it", ApplyRules(0, PausePoint(sequence=99)), NOON_US, None),
        ("paused after it, and young", ApplyRules(MINUTE_US, PausePoint(sequence=200)), NOON_US, MINUTE_US),
        ("paused at its time", ApplyRules(0, PausePoint(time_us=NOON_US)), NOON_US, 0),
        ("paused before its time", ApplyRules(0, PausePoint(time_us=NOON_US - 1)), NOON_US, None),
        (
            "paused, and as old as the delay",
            ApplyRules(MINUTE_US, PausePoint(time_us=NOON_US - 1)),
            NOON_US + 60 * MINUTE_US,
            None,
        ),
        ("both points count", ApplyRules(0, PausePoint(sequence=99, time_us=NOON_US)), NOON_US, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_may_this_batch_be_applied_now(says: str, rules: ApplyRules, now_us: int, wait: int | None) -> None:
    """A batch waits for its age, and stands before a pause however old it is."""
    assert wait_us(BATCH, rules, now_us) == wait


@given(
    gaps=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3 * MINUTE_US)), max_size=20),
    delay_us=st.integers(0, 5 * MINUTE_US),
    pause_sequence=st.none() | st.integers(0, 60),
    pause_time_us=st.none() | st.integers(NOON_US - MINUTE_US, NOON_US + 30 * MINUTE_US),
    now_us=st.integers(NOON_US - MINUTE_US, NOON_US + 60 * MINUTE_US),
)
def test_what_is_due_is_exactly_what_both_rules_allow(
    gaps: list[tuple[int, int]],
    delay_us: int,
    pause_sequence: int | None,
    pause_time_us: int | None,
    now_us: int,
) -> None:
    """In a log the batches that may be applied are a prefix, and that one is applied."""
    batches, sequence, time_us = [], 0, NOON_US
    for count, gap_us in gaps:
        sequence, time_us = sequence + count, time_us + gap_us
        batches.append(WaitingBatch(sequence, time_us))
    pause = None
    if pause_sequence is not None or pause_time_us is not None:
        pause = PausePoint(pause_sequence, pause_time_us)

    applied = due(batches, ApplyRules(delay_us, pause), now_us)
    for at, batch in enumerate(batches):
        is_old = not delay_us or now_us - batch.commit_time_us >= delay_us
        is_before = pause_sequence is None or batch.last_sequence <= pause_sequence
        in_time = pause_time_us is None or batch.commit_time_us <= pause_time_us
        assert (at < applied) == (is_old and is_before and in_time)


@pytest.mark.parametrize(
    ("point", "refused"),
    [
        (PausePoint(sequence=100), False),
        (PausePoint(sequence=101), False),
        (PausePoint(sequence=99), True),
        (PausePoint(time_us=NOON_US), False),
        (PausePoint(time_us=NOON_US - 1), True),
    ],
)
def test_a_pause_that_is_too_late_says_how_far_the_replica_is(point: PausePoint, refused: bool) -> None:
    """What is applied cannot be taken back: the operator learns where the replica is."""
    reason = refuse_pause(point, BATCH)
    assert (reason is not None) == refused
    if reason is not None:
        assert "sequence number 100" in reason
        assert "2027-01-15T08:00:00.000000Z" in reason


@pytest.mark.parametrize(
    ("pause", "force", "then", "refused"),
    [
        (None, False, AtPromotion.APPLY, False),
        (None, True, AtPromotion.APPLY, False),
        (PausePoint(sequence=7), True, AtPromotion.DISCARD, False),
        (PausePoint(sequence=7), False, AtPromotion.DISCARD, True),
    ],
)
def test_a_promotion_discards_only_what_a_pause_and_force_give_up(
    pause: PausePoint | None, force: bool, then: AtPromotion, refused: bool
) -> None:
    """A delay alone never loses a batch that was acknowledged."""
    found, refusal = at_promotion(pause, force=force)
    assert found is then
    assert (refusal is not None) == refused


@pytest.mark.parametrize("is_owner", [False, True])
@pytest.mark.parametrize(
    ("says", "begin", "at", "has_end", "goes_through", "then"),
    [
        ("all of it is applied", position(1, 5), position(1, 20), True, True, AtOpening.CLEAR),
        ("a copy of this history came", position(1, 5), position(1, 90), True, False, AtOpening.CLEAR),
        ("a copy of a later epoch has it", position(1, 5), position(2, 90), True, False, AtOpening.CLEAR),
        ("some of it waits", position(1, 5), position(1, 10), False, True, AtOpening.KEEP),
        ("a copy of a later epoch lacks it", position(1, 5), position(2, 90), False, False, AtOpening.SAVE),
        ("that copy ends before it", position(1, 50), position(2, 9), False, False, AtOpening.SAVE),
        ("it left the store's history", position(1, 5), position(1, 10), False, False, AtOpening.SAVE),
        ("the store lost its tail", position(1, 50), position(1, 40), False, False, AtOpening.DROP),
        ("with the begin of an epoch", position(2, 50), position(1, 40), False, False, AtOpening.DROP),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_becomes_of_received_log(
    says: str,
    begin: Position,
    at: Position,
    has_end: bool,
    goes_through: bool,
    then: AtOpening,
    is_owner: bool,
) -> None:
    """Only what the store's history has, or what was never durable, goes without being saved."""
    if is_owner and then is not AtOpening.CLEAR:
        then = AtOpening.SAVE
    found = at_opening(begin, at, has_end=has_end, goes_through=goes_through, is_owner=is_owner)
    assert found is then
