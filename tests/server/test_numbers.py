"""Counters: 64-bit integers, read strictly."""

from __future__ import annotations

import pytest
import redis


def test_an_absent_counter_begins_at_0(client: redis.Redis) -> None:
    """An absent key counts from 0."""
    assert client.incr("n") == 1
    assert client.incrby("n", 41) == 42
    assert client.decr("n") == 41
    assert client.decrby("n", 50) == -9
    assert client.get("n") == b"-9"


@pytest.mark.parametrize(
    "value", [b"1_0", b" 5", b"5 ", b"+5", b"05", b"-0", b"", b"1.5", b"9223372036854775808", b"0x1"]
)
def test_only_integers_in_their_one_spelling_count(client: redis.Redis, value: bytes) -> None:
    """What Python's int would take and Redis does not is refused, as value and as argument."""
    client.set("n", value)
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        client.incr("n")
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        client.execute_command("INCRBY", "other", value)
    assert client.get("n") == value


def test_counters_stop_at_64_bits(client: redis.Redis) -> None:
    """An overflow is an error and leaves the value."""
    client.set("n", 2**63 - 1)
    with pytest.raises(redis.ResponseError, match="increment or decrement would overflow"):
        client.incr("n")
    client.set("low", -(2**63))
    with pytest.raises(redis.ResponseError, match="increment or decrement would overflow"):
        client.decr("low")
    with pytest.raises(redis.ResponseError, match="decrement would overflow"):
        client.execute_command("DECRBY", "low", -(2**63))
    assert client.mget("n", "low") == [b"9223372036854775807", b"-9223372036854775808"]
