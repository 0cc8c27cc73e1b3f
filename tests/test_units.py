"""Numbers as people read them."""

from __future__ import annotations

import doctest

import pytest

from replicad import units


def test_the_examples_in_the_docstrings_are_true() -> None:
    """The examples in the docstrings are true."""
    assert doctest.testmod(units).failed == 0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (-0.001, "0s"),
        (-2.5, "-2.5s"),
        (9.999, "10s"),
        (59.6, "1m00s"),
        (86_399, "23h59m"),
        (86_400, "1d00h"),
        (1e9, "never"),
    ],
)
def test_a_span_of_time_is_shown_in_two_units_at_most(seconds: float, shown: str) -> None:
    """Zero has no digits behind it, and a node's largest number means never."""
    assert units.show_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1024**2 - 1, "1.0 MiB"), (5 * 1024**4, "5.0 TiB")],
)
def test_a_size_never_reaches_the_next_unit(size_bytes: float, shown: str) -> None:
    """What rounds to 1024 of one unit is 1 of the next."""
    assert units.show_size(size_bytes) == shown
