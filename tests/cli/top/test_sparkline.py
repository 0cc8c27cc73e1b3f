"""Numbers as marks."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from typing import Any

import pytest

from replicad.cli.top import frame
from replicad.cli.top import sparkline as module
from replicad.cli.top.sparkline import ASCII, sparkline


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(frame).failed == 0


@pytest.mark.parametrize(
    ("values", "options", "shown"),
    [
        ([], {}, "    "),
        ([5], {}, "   ▁"),
        ([5, 5, 5], {}, " ▁▁▁"),
        ([5], {"lowest": 0}, "   █"),
        ([0, 0], {"lowest": 0}, "  ▁▁"),
        ([None, None], {"lowest": 0}, "    "),
        ([1, 2, 3, 4, 5, 6, 7, 8], {"lowest": 1}, "▅▆▇█"),
        ([1000, 1001], {}, "  ▁█"),
        ([1, None, 3], {"lowest": 0}, " ▃ █"),
        ([0.5, 1], {"lowest": 0, "highest": 7}, "  ▁▂"),
        ([14], {"lowest": 0, "highest": 7}, "   █"),
        ([0, 7], {"lowest": 0, "marks": ASCII}, "  _#"),
    ],
)
def test_a_sparkline_has_its_width(
    values: Sequence[float | None], options: dict[str, Any], shown: str
) -> None:
    """The newest value is on the right, and what is not known is a gap."""
    assert sparkline(values, 4, **options) == shown
