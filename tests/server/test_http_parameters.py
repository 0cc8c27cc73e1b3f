"""What `/replica` is asked for, and which Host headers mean this node."""

from __future__ import annotations

import pytest

from replicad.server.health import LagKind
from replicad.server.http_host import is_meant
from replicad.server.http_parameters import WrongParameter, check_none, read_lag_limits


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], {}),
        ([("max_lag", "10")], {"staleness": 10}),
        ([("max_lag", "0.5"), ("lag_kind", "seconds")], {"seconds": 0.5}),
        ([("lag_kind", "sequences"), ("max_lag", "100")], {"sequences": 100}),
        ([("lag", "0"), ("staleness", "1.5")], {"sequences": 0, "staleness": 1.5}),
        ([("max_lag", "3"), ("lag_kind", "seconds"), ("lag", "7")], {"seconds": 3, "sequences": 7}),
    ],
)
def test_limits_are_read(pairs: list[tuple[str, str]], expected: dict[LagKind, float]) -> None:
    """By kind; what is not named has no limit."""
    assert read_lag_limits(pairs) == expected


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([("max_lag", "-1")], "max_lag='-1'; right is a number of seconds"),
        ([("max_lag", "nan")], "right is a number of seconds"),
        ([("max_lag", "1e9")], "right is a number of seconds"),
        ([("max_lag", "")], "right is a number of seconds"),
        ([("max_lag", "1.5"), ("lag_kind", "sequences")], "right is a whole number"),
        ([("lag", "9" * 21)], "right is a whole number"),
        (
            [("max_lag", "1"), ("lag_kind", "bytes")],
            "lag_kind='bytes'; right are sequences, seconds, staleness",
        ),
        ([("lag_kind", "seconds")], "lag_kind says nothing without max_lag"),
        ([("max_lag", "1"), ("max_lag", "2")], "max_lag stands twice"),
        ([("maxlag", "1")], "'maxlag' is not a parameter; right are max_lag=NUMBER"),
    ],
)
def test_what_is_wrong_says_what_is_right(pairs: list[tuple[str, str]], says: str) -> None:
    """A balancer whose check is misspelt must not take every replica for good."""
    with pytest.raises(WrongParameter) as refusal:
        read_lag_limits(pairs)
    assert says in str(refusal.value)


def test_other_paths_take_no_parameters() -> None:
    """They would do nothing there, and somebody meant something."""
    check_none([])
    with pytest.raises(WrongParameter, match="'max_lag' is not a parameter"):
        check_none([("max_lag", "1")])


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (None, True),  # HTTP/1.0, as HAProxy's default check
        ("127.0.0.1:6382", True),
        ("192.0.2.7", True),
        ("[::1]:6382", True),
        ("[2001:db8::1]", True),
        ("localhost", True),
        ("LocalHost:6382", True),
        ("db1.example.com:6382", True),
        ("DB1.example.com.:6382", True),
        ("evil.example.com:6382", False),
        ("db1.example.com.evil.org", False),
        ("127.0.0.1.evil.org", False),
        ("", False),
        (":6382", False),
        ("a b", False),
        ("db1.example.com:port", False),
        ("user@localhost:1", False),
    ],
)
def test_a_host_is_a_number_or_a_name_of_this_node(header: str | None, meant: bool) -> None:
    """Else a web page with a name of its own would read what the node says."""
    assert is_meant(header, {"localhost", "db1.example.com"}) == meant
