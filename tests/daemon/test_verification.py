"""What a node says about data that differs."""

from __future__ import annotations

from replicad.daemon.verification import describe
from replicad.replication.comparison import Difference, Kind


def test_differences_in_words() -> None:
    """The first few keys with their families, and how many more there are."""
    one = Difference(0, 0, b"a", Kind.VALUE)
    assert describe((one,), {}) == "differs from its primary: 'a' (value)"
    many = (
        one,
        Difference(0, 2, b"k" * 100, Kind.MISSING),
        Difference(0, 3, b"old", Kind.FAMILY_EXTRA),
        one,
        one,
    )
    text = describe(many, {2: "orders"})
    assert text == (
        f"differs from its primary: 'a' (value), '{'k' * 64}' of column family 'orders' (missing), "
        "'old' (family-extra) and 2 more"
    )
