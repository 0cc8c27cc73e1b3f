"""What a command gets that raises: a refusal, a failure of the machine, or a bug."""

from __future__ import annotations

import errno
import inspect

import pytest
import redis
import structlog

from replicad import errors
from replicad.errors import ConfigError, ReplicadError, RoleRefused, StoppedError, TargetError
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode
from tests.test_errors import made


class _Raises(FakeNode):
    """Its backups raise this."""

    cause: Exception

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, object]:
        raise self.cause


def _ask(start: StartServer, cause: Exception) -> tuple[str, int, list[str]]:
    """The reply, how many bugs are counted, and the levels of what was logged."""
    node = _Raises()
    node.cause = cause
    with (
        structlog.testing.capture_logs() as logged,
        redis.Redis(port=start(None, node).port) as client,
    ):
        with pytest.raises(redis.ResponseError) as caught:
            client.execute_command("REPLICAD.BACKUP", "CREATE", "TARGET", "s3://b/p")
        bugs = client.info("stats")["internal_errors"]
    levels = [line["log_level"] for line in logged if line["event"] == "server.command_failed"]
    return str(caught.value), bugs, levels


@pytest.mark.parametrize("kind", [ConfigError, RoleRefused, StoppedError])
def test_what_the_caller_got_wrong_is_a_plain_refusal(start: StartServer, kind: type[ReplicadError]) -> None:
    """The reply is the message; nothing is logged or counted."""
    assert _ask(start, kind("pip install s3fs")) == ("pip install s3fs", 0, [])


@pytest.mark.parametrize("cause", [TargetError("it is away"), OSError(errno.ENOSPC, "No space left")])
def test_what_failed_on_the_machine_is_no_bug(start: StartServer, cause: Exception) -> None:
    """It is logged with its reason."""
    _, bugs, levels = _ask(start, cause)
    assert (bugs, levels) == (0, ["warning"])


def test_no_error_that_is_raised_on_purpose_counts_as_a_bug(start: StartServer) -> None:
    """A bug is an assertion, never one of ours."""
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ReplicadError)
    ]
    for kind in kinds:
        _, bugs, levels = _ask(start, made(kind))
        assert (kind.__name__, bugs, "error" in levels) == (kind.__name__, 0, False)


def test_a_bug_is_counted_and_logged(start: StartServer) -> None:
    """The client is told that the log has more."""
    _, bugs, levels = _ask(start, AssertionError("no"))
    assert (bugs, levels) == (1, ["error"])
