"""What the end of a session means for the next one."""

from __future__ import annotations

import pytest

from replicad.errors import (
    BackupRefusedError,
    DivergedError,
    FencedError,
    LinkStoppedError,
    PeerTimeoutError,
    ReplicadError,
    ReplicationError,
    SessionRefusedError,
    WaitingLogFullError,
    WrongDatabaseError,
)
from replicad.replication.policy.agree import Code, Outcome
from replicad.replication.replica.endings import code_of, needs_a_person, stopping_error
from replicad.replication.wire.messages import Decided
from replicad.types import Epoch, HistoryHash, Position, Sequence

THERE = Position(Epoch(1), Sequence(1), HistoryHash(1))


@pytest.mark.parametrize(
    ("outcome", "code", "kind", "stays"),
    [
        (Outcome.STOP, Code.WRONG_DATABASE, WrongDatabaseError, True),
        (Outcome.STOP, Code.DIVERGED, DivergedError, True),
        (Outcome.STOP, Code.OTHER_EPOCH_ID, DivergedError, True),
        (Outcome.STOP, Code.REPLICA_AHEAD, LinkStoppedError, True),
        # The node there is about to give its role up.
        (Outcome.FENCED, Code.HIGHER_EPOCH, FencedError, False),
    ],
)
def test_a_decision_not_to_follow(
    outcome: Outcome, code: Code, kind: type[ReplicationError], *, stays: bool
) -> None:
    error = stopping_error(Decided(outcome.value, code.value, "why", THERE, None))
    assert type(error) is kind
    assert (str(error), code_of(error), needs_a_person(error)) == ("why", code.value, stays)


@pytest.mark.parametrize(
    ("error", "code", "stays"),
    [
        (SessionRefusedError("busy", "later", retry=True), "busy", False),
        (SessionRefusedError("loop", "never", retry=False), "loop", True),
        (WaitingLogFullError("full"), "waiting-log-full", False),
        (BackupRefusedError("damaged-backup", "damaged"), "damaged-backup", True),
        (DivergedError("here"), "diverged", True),
        (PeerTimeoutError("late"), "PeerTimeoutError", False),
        (ConnectionRefusedError("nobody"), "ConnectionRefusedError", False),
    ],
)
def test_what_time_does_not_mend(error: ReplicadError | OSError, code: str, *, stays: bool) -> None:
    assert (code_of(error), needs_a_person(error)) == (code, stays)
