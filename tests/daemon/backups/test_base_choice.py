"""Which backup a new replica begins with, and what it says of the others."""

from __future__ import annotations

import pytest

from replicad.daemon.backups.base_choice import Fit, ahead, check_databases, fit_of
from replicad.errors import BackupRefusedError
from replicad.replication.policy.agree import Code, History
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence

DATABASE, OTHER = b"d" * 16, b"o" * 16


def at(epoch: int, sequence: int, history: int = 0) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history))


def epoch(number: int, fork: Position, id: bytes = b"i") -> EpochRecord:
    return EpochRecord(Epoch(number), id * 16, fork)


SECOND = epoch(2, at(1, 50))
PRIMARY = History(DATABASE, at(2, 100), (SECOND,))


@pytest.mark.parametrize(
    ("backup", "fit", "says"),
    [
        (History(DATABASE, at(2, 80), (SECOND,)), Fit.TAKEN, ""),
        (History(DATABASE, at(2, 100), (SECOND,)), Fit.TAKEN, ""),
        (History(DATABASE, at(1, 50)), Fit.TAKEN, ""),
        (History(DATABASE, at(1, 51)), Fit.PASSED_OVER, "beyond the fork"),
        (History(DATABASE, at(2, 100, 7), (SECOND,)), Fit.PASSED_OVER, "where the primary's history has"),
        (History(DATABASE, at(2, 80), (epoch(2, at(1, 50), b"j"),)), Fit.PASSED_OVER, "one id"),
        (History(DATABASE, at(2, 101), (SECOND,)), Fit.REFUSED, "ahead of the primary"),
        (History(DATABASE, at(3, 90), (SECOND, epoch(3, at(2, 85)))), Fit.REFUSED, "another was promoted"),
    ],
)
def test_a_backup_is_judged_as_the_replica_would_be_that_it_becomes(
    backup: History, fit: Fit, says: str
) -> None:
    """A backup fits where the primary would let such a replica follow, wherever the primary's log begins."""
    found, reason = fit_of(PRIMARY, backup)
    assert found is fit
    assert says in reason


def test_every_code_has_a_verdict() -> None:
    """No decision of the primary's is left to chance."""
    from replicad.daemon.backups.base_choice import _FITS

    assert _FITS.keys() == set(Code) - {Code.EMPTY_REPLICA, Code.WRONG_DATABASE}


def test_backups_of_another_database_are_refused_with_both_ids() -> None:
    check_databases("/t", DATABASE, {DATABASE, OTHER})
    with pytest.raises(BackupRefusedError) as refused:
        check_databases("/t", DATABASE, {OTHER})
    assert refused.value.code == "wrong-backup"
    assert DATABASE.hex() in str(refused.value) and OTHER.hex() in str(refused.value)


def test_a_target_without_any_backup_may_be_a_lost_mount() -> None:
    """Nothing is fetched from the primary instead: the operator asked for the target."""
    with pytest.raises(BackupRefusedError, match="is its disk mounted") as refused:
        check_databases("/t", DATABASE, set())
    assert refused.value.code == "no-backup"


def test_what_is_refused_names_the_command_that_helps() -> None:
    assert "replicad backup delete /t 7" in str(ahead("/t", 7, "why"))
