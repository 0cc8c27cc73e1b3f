"""REPLICAD.REPLICA: a replica stands still, and goes on."""

from __future__ import annotations

import json

import pytest
import redis

from tests.server.harness import FakeNode, RunningServer


@pytest.fixture
def replica(server: RunningServer) -> FakeNode:
    node = server.node
    node.role, node.is_writable = "replica", False
    return node


@pytest.mark.parametrize(
    ("words", "paused"),
    [
        ("PAUSE", (None, None)),
        ("PAUSE AT 17", (17, None)),
        ("pause at 1970-01-01T00:00:01.5Z", (None, 1_500_000)),
        ("PAUSE AT 1970-01-01", (None, 0)),
    ],
)
def test_a_point_is_a_sequence_number_or_a_time(
    client: redis.Redis, replica: FakeNode, words: str, paused: tuple[int | None, int | None]
) -> None:
    """The notation of times is that of a restore to a point in time."""
    point = json.loads(client.execute_command("REPLICAD.REPLICA", *words.split()))
    assert replica.paused == paused
    assert point == {"sequence": paused[0], "time_us": paused[1], "applied_sequence": 7}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("PAUSE AT", "syntax"),
        ("PAUSE 17", "syntax"),
        ("PAUSE BY 17", "syntax"),
        ("PAUSE AT yesterday", "'yesterday' is not a time"),
        ("PAUSE AT -1", "'-1' is not a time"),
        ("PAUSE AT 99999999999999999999", "not an integer"),
        ("RESUME now", "wrong number"),
    ],
)
def test_what_is_no_point_is_refused(client: redis.Redis, replica: FakeNode, words: str, error: str) -> None:
    """Nothing is paused."""
    with pytest.raises(redis.ResponseError, match=error):
        client.execute_command("REPLICAD.REPLICA", *words.split())
    assert replica.paused is None


def test_a_resume_says_whether_it_was_paused(client: redis.Redis, replica: FakeNode) -> None:
    """For scripts."""
    client.execute_command("REPLICAD.REPLICA", "PAUSE")
    assert client.execute_command("REPLICAD.REPLICA", "RESUME") == 1
    assert client.execute_command("REPLICAD.REPLICA", "RESUME") == 0


def test_a_primary_cannot_stand_still(client: redis.Redis) -> None:
    """CLIENT PAUSE is what holds its writes."""
    with pytest.raises(redis.ResponseError, match="only a replica"):
        client.execute_command("REPLICAD.REPLICA", "PAUSE")
