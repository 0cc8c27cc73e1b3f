"""Commands on values mean what they mean in Redis."""

from __future__ import annotations

import pytest
import redis


def test_a_value_comes_back_as_it_was_set(client: redis.Redis) -> None:
    """Any bytes are a key and a value, the empty ones included."""
    for key, value in [(b"k", b"v"), (b"", b""), (b"\r\n", bytes(range(256))), (b"large", b"x" * 300_000)]:
        assert client.set(key, value) is True
        assert client.get(key) == value
    assert client.get("absent") is None


def test_set_keeps_its_conditions(client: redis.Redis) -> None:
    """NX sets only what is absent, XX only what is there, GET returns what was there before."""
    assert client.set("k", "1", xx=True) is None
    assert client.set("k", "1", nx=True) is True
    assert client.set("k", "2", nx=True) is None
    assert client.get("k") == b"1"
    assert client.set("k", "3", xx=True) is True
    assert client.set("k", "4", get=True) == b"3"
    assert client.set("new", "1", get=True) is None
    assert client.set("k", "5", nx=True, get=True) == b"4"
    assert client.get("k") == b"4"


@pytest.mark.parametrize(
    "options", [["EX", "5"], ["px", "5"], ["KEEPTTL", "EX", "5"], ["EXAT", "99999999999"]]
)
def test_expiry_is_refused_and_says_so(client: redis.Redis, options: list[str]) -> None:
    """A SET with an expiry option changes nothing."""
    with pytest.raises(redis.ResponseError, match="expiry is not supported"):
        client.execute_command("SET", "k", "v", *options)
    with pytest.raises(redis.ResponseError, match="expiry is not supported"):
        client.execute_command("EXPIRE", "k", "5")
    assert client.get("k") is None


@pytest.mark.parametrize("options", [["NX", "XX"], ["NOPE"], ["GET", "NOPE"]])
def test_set_refuses_other_options(client: redis.Redis, options: list[str]) -> None:
    """Options that contradict each other, or that nobody knows, are syntax errors."""
    with pytest.raises(redis.ResponseError, match="syntax error"):
        client.execute_command("SET", "k", "v", *options)
    assert client.get("k") is None


def test_many_keys_at_once(client: redis.Redis) -> None:
    """MSET writes all of its pairs, MGET answers in the order asked, absent keys included."""
    assert client.mset({f"k{i}": str(i) for i in range(300)}) is True
    assert client.mget(["k7", "absent", "k299"]) == [b"7", None, b"299"]
    assert len(client.mget([f"k{i}" for i in range(300)])) == 300
    assert client.msetnx({"k1": "x", "other": "x"}) in (0, False)
    assert client.get("other") is None
    assert client.msetnx({"a": "x", "b": "y"}) in (1, True)
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'mset' command"):
        client.execute_command("MSET", "a", "1", "b")


def test_the_old_ways_to_set(client: redis.Redis) -> None:
    """SETNX, GETSET, GETDEL, APPEND, STRLEN and GETRANGE do what they say."""
    assert client.setnx("k", "1") in (1, True)
    assert client.setnx("k", "2") in (0, False)
    assert client.getset("k", "3") == b"1"
    assert client.append("k", "45") == 3
    assert client.append("fresh", "ab") == 2
    assert client.strlen("k") == 3
    assert client.strlen("absent") == 0
    assert client.getrange("k", 0, 1) == b"34"
    assert client.getrange("k", -2, -1) == b"45"
    assert client.getrange("k", 5, 9) == b""
    assert client.getrange("k", 0, -100) == b"3"
    assert client.getrange("k", -100, -99) == b"3"
    assert client.getrange("k", -99, -100) == b""
    assert client.getdel("k") == b"345"
    assert client.getdel("k") is None


def test_the_number_of_arguments_is_checked(client: redis.Redis) -> None:
    """The error names the command, as in Redis."""
    for command in ["get", "SET k", "append k", "mget", "getrange k 1"]:
        name = command.split()[0].lower()
        with pytest.raises(redis.ResponseError, match=f"wrong number of arguments for '{name}' command"):
            client.execute_command(*command.split())


def test_a_key_has_a_limit(client: redis.Redis) -> None:
    """A key that the store cannot take is an error; the connection and the data stay."""
    with pytest.raises(redis.ResponseError, match="65536"):
        client.set(b"k" * 65537, "v")
    with pytest.raises(redis.ResponseError, match="65536"):
        client.mset({b"a": b"1", b"k" * 65537: b"v"})
    assert client.mget(["a", b"k" * 65537]) == [None, None]
    assert client.set(b"k" * 65536, "v") is True
    assert client.get(b"k" * 65536) == b"v"


def test_a_part_of_a_value_is_overwritten(client: redis.Redis) -> None:
    """SETRANGE pads with zeros up to its place; nothing to write changes nothing."""
    assert client.setrange("k", 3, "") == 0
    assert client.get("k") is None
    assert client.setrange("k", 2, "ab") == 4
    assert client.get("k") == b"\0\0ab"
    assert client.setrange("k", 0, "xyz") == 4
    assert client.get("k") == b"xyzb"
    assert client.setrange("k", 6, "end") == 9
    assert client.get("k") == b"xyzb\0\0end"
    with pytest.raises(redis.ResponseError, match="offset is out of range"):
        client.setrange("k", -1, "x")
    with pytest.raises(redis.ResponseError, match="exceeds maximum allowed size"):
        client.setrange("k", 64 << 20, "x")
