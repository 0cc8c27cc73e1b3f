"""The whole table of cases of the agree decision."""

from __future__ import annotations

import pytest

from replicad.replication.policy.agree import Code, History, Outcome, agree, may_bootstrap
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence

DATABASE = b"d" * 16


def at(epoch: int, sequence: int, history_hash: int) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history_hash))


FORK = at(1, 50, 500)
FIRST = EpochRecord(Epoch(1), b"1" * 16, at(0, 0, 0))
SECOND = EpochRecord(Epoch(2), b"2" * 16, FORK)
THIRD = EpochRecord(Epoch(3), b"3" * 16, at(2, 80, 800))


def history(position: Position, *epochs: EpochRecord, database: bytes = DATABASE) -> History:
    return History(database, position, epochs)


ONE = history(at(1, 100, 1000), FIRST)
THREE = history(at(3, 100, 1000), FIRST, SECOND, THIRD)

CASES = [
    # name, primary, replica, found, oldest, outcome, code
    ("empty replica", ONE, None, None, 1, Outcome.BOOTSTRAP, Code.EMPTY_REPLICA),
    (
        "empty replica of an empty primary",
        history(at(1, 0, 0)),
        None,
        None,
        1,
        Outcome.BOOTSTRAP,
        Code.EMPTY_REPLICA,
    ),
    (
        "other database",
        ONE,
        history(at(1, 10, 1), database=b"x" * 16),
        None,
        1,
        Outcome.STOP,
        Code.WRONG_DATABASE,
    ),
    (
        "other database, higher epoch",
        ONE,
        history(at(9, 1, 1), database=b"x" * 16),
        None,
        1,
        Outcome.STOP,
        Code.WRONG_DATABASE,
    ),
    ("at the same position", ONE, history(at(1, 100, 1000)), None, 1, Outcome.STREAM, Code.SAME_HISTORY),
    (
        "at the same position, log empty",
        ONE,
        history(at(1, 100, 1000)),
        None,
        101,
        Outcome.STREAM,
        Code.SAME_HISTORY,
    ),
    ("behind, log there", ONE, history(at(1, 40, 400)), at(1, 40, 400), 1, Outcome.STREAM, Code.SAME_HISTORY),
    (
        "behind, log begins right after",
        ONE,
        history(at(1, 40, 400)),
        None,
        41,
        Outcome.STREAM,
        Code.SAME_HISTORY,
    ),
    ("behind, log gone", ONE, history(at(1, 40, 400)), None, 42, Outcome.BOOTSTRAP, Code.LOG_GONE),
    ("from the very beginning", ONE, history(at(1, 0, 0)), None, 1, Outcome.STREAM, Code.SAME_HISTORY),
    ("behind with another hash", ONE, history(at(1, 40, 4)), at(1, 40, 400), 1, Outcome.STOP, Code.DIVERGED),
    ("inside a batch", ONE, history(at(1, 40, 400)), at(1, 44, 440), 1, Outcome.STOP, Code.DIVERGED),
    (
        "same sequence number, other hash",
        ONE,
        history(at(1, 100, 1)),
        at(1, 100, 1000),
        1,
        Outcome.STOP,
        Code.DIVERGED,
    ),
    ("replica ahead", ONE, history(at(1, 101, 1010)), None, 1, Outcome.STOP, Code.REPLICA_AHEAD),
    (
        "replica ahead of an empty primary",
        history(at(1, 0, 0)),
        history(at(1, 9, 9)),
        None,
        1,
        Outcome.STOP,
        Code.REPLICA_AHEAD,
    ),
    (
        "replica's epoch higher",
        ONE,
        history(at(2, 60, 6), FIRST, SECOND),
        None,
        1,
        Outcome.FENCED,
        Code.HIGHER_EPOCH,
    ),
    (
        "equal epochs, different ids",
        history(at(2, 60, 600), FIRST, SECOND),
        history(at(2, 60, 6), FIRST, EpochRecord(Epoch(2), b"x" * 16, FORK)),
        None,
        1,
        Outcome.STOP,
        Code.OTHER_EPOCH_ID,
    ),
    (
        "lower epoch, before the fork",
        THREE,
        history(at(1, 40, 400), FIRST),
        at(1, 40, 400),
        1,
        Outcome.STREAM,
        Code.SAME_HISTORY,
    ),
    ("lower epoch, at the fork", THREE, history(FORK, FIRST), FORK, 1, Outcome.STREAM, Code.SAME_HISTORY),
    (
        "lower epoch, at the fork, other hash",
        THREE,
        history(at(1, 50, 5), FIRST),
        FORK,
        1,
        Outcome.STOP,
        Code.DIVERGED,
    ),
    (
        "lower epoch, at the fork, log gone",
        THREE,
        history(FORK, FIRST),
        None,
        60,
        Outcome.BOOTSTRAP,
        Code.LOG_GONE,
    ),
    (
        "lower epoch, before the fork, other hash",
        THREE,
        history(at(1, 40, 4), FIRST),
        at(1, 40, 400),
        1,
        Outcome.STOP,
        Code.DIVERGED,
    ),
    (
        "lower epoch, before the fork, log gone",
        THREE,
        history(at(1, 40, 400), FIRST),
        None,
        60,
        Outcome.BOOTSTRAP,
        Code.LOG_GONE,
    ),
    (
        "lower epoch, beyond the fork",
        THREE,
        history(at(1, 51, 510), FIRST),
        at(2, 51, 1),
        1,
        Outcome.REWIND,
        Code.BEYOND_FORK,
    ),
    (
        "lower epoch, beyond the fork of the second",
        THREE,
        history(at(2, 81, 1), FIRST, SECOND),
        at(3, 81, 2),
        1,
        Outcome.REWIND,
        Code.BEYOND_FORK,
    ),
    (
        "lower epoch, longer than the primary",
        THREE,
        history(at(1, 500, 1), FIRST),
        None,
        1,
        Outcome.REWIND,
        Code.BEYOND_FORK,
    ),
    (
        "lower epoch, fork unknown",
        history(at(3, 100, 1000)),
        history(at(1, 40, 400)),
        at(1, 40, 400),
        1,
        Outcome.STOP,
        Code.UNKNOWN_FORK,
    ),
    (
        "lower epoch that the primary never saw",
        history(at(3, 100, 1), FIRST, EpochRecord(Epoch(3), b"3" * 16, at(1, 70, 700))),
        history(at(2, 60, 6), FIRST, SECOND),
        None,
        1,
        Outcome.REWIND,
        Code.BEYOND_FORK,
    ),
    (
        "lower epoch that the primary never saw, and nobody says where it began",
        history(at(3, 100, 1), FIRST, EpochRecord(Epoch(3), b"3" * 16, FORK)),
        history(at(2, 60, 6)),
        None,
        1,
        Outcome.STOP,
        Code.UNKNOWN_FORK,
    ),
]


@pytest.mark.parametrize(
    ("primary", "replica", "found", "oldest", "outcome", "code"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_cases(
    primary: History,
    replica: History | None,
    found: Position | None,
    oldest: int,
    outcome: Outcome,
    code: Code,
) -> None:
    """Every case of the table has its outcome and its code."""
    decision = agree(primary, replica, found=found, oldest=oldest)
    assert (decision.outcome, decision.code) == (outcome, code), decision.reason
    if outcome is Outcome.STREAM:
        assert replica is not None
        assert decision.start == replica.position.sequence + 1
    if outcome is Outcome.REWIND:
        assert replica is not None
        assert decision.fork is not None
        assert decision.fork.sequence < replica.position.sequence


def test_a_higher_epoch_that_is_not_proven_stops_the_replica() -> None:
    """The primary is not fenced by it."""
    decision = agree(ONE, history(at(2, 60, 6), FIRST, SECOND), found=None, oldest=1, unproven="nonsense")
    assert (decision.outcome, decision.code) == (Outcome.STOP, Code.HIGHER_EPOCH)
    assert "nonsense" in decision.reason
    here = agree(ONE, ONE, found=ONE.position, oldest=1, unproven="nonsense")
    assert here.outcome is Outcome.STREAM


def test_every_code_has_a_case() -> None:
    """No code of the decision is without a case."""
    assert {case[6] for case in CASES} == set(Code)


@pytest.mark.parametrize(
    ("replica", "primary", "code", "allowed"),
    [
        (None, ONE, Code.EMPTY_REPLICA, True),
        (history(at(1, 40, 400)), ONE, Code.LOG_GONE, True),
        (history(at(1, 40, 400)), ONE, Code.EMPTY_REPLICA, False),
        (history(at(1, 40, 400)), ONE, Code.DIVERGED, False),
        (history(at(1, 40, 400), database=b"x" * 16), ONE, Code.LOG_GONE, False),
        (history(at(1, 100, 1000)), ONE, Code.LOG_GONE, False),
        (history(at(1, 101, 1)), ONE, Code.LOG_GONE, False),
        (history(at(2, 1, 1)), ONE, Code.LOG_GONE, False),
    ],
)
def test_a_replica_with_data_guards_it(
    replica: History | None, primary: History, code: Code, allowed: bool
) -> None:
    """Data is replaced only by a later position of the same database, and only because the log is gone."""
    assert (may_bootstrap(replica, primary, code) is None) is allowed
