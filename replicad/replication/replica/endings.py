"""What the end of a session means for the next one: whether a person is needed first, and why."""

from __future__ import annotations

from replicad.errors import (
    DivergedError,
    FencedError,
    LinkStoppedError,
    ReplicadError,
    ReplicationError,
    SessionRefusedError,
    WaitingLogFullError,
    WrongDatabaseError,
)
from replicad.replication.policy.agree import Code, Outcome
from replicad.replication.wire.messages import Decided


def stopping_error(decided: Decided) -> ReplicationError:
    """For a decision by which this replica cannot follow."""
    if decided.code == Code.WRONG_DATABASE.value:
        error: ReplicationError = WrongDatabaseError(decided.reason)
    elif decided.code in (Code.DIVERGED.value, Code.OTHER_EPOCH_ID.value):
        error = DivergedError(decided.reason)
    elif decided.outcome == Outcome.FENCED.value:
        error = FencedError(decided.reason)
    else:
        error = LinkStoppedError(decided.reason)
    error.code = decided.code  # type: ignore[attr-defined]
    return error


def needs_a_person(error: ReplicadError | OSError) -> bool:
    """Time does not mend it."""
    if isinstance(error, SessionRefusedError):
        return not error.retry
    if isinstance(error, WaitingLogFullError):
        return False
    return isinstance(error, LinkStoppedError | WrongDatabaseError | DivergedError)


def code_of(error: ReplicadError | OSError) -> str:
    """For programs that watch the status."""
    default = Code.DIVERGED.value if isinstance(error, DivergedError) else type(error).__name__
    return getattr(error, "code", None) or default
