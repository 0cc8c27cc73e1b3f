"""A slice of `make rot`: some bytes of a database and its copies are others, some blocks change places."""

from __future__ import annotations

import pytest

from tests.rot.check import check
from tests.rot.damage import flips, judge, swaps
from tests.rot.subject import subject

pytestmark = pytest.mark.long


def test_without_damage_all_is_right() -> None:
    """The judge finds nothing wrong in what was written."""
    assert {check(file, data) for file, data in subject().files.items()} == {"right"}


@pytest.mark.parametrize("first", range(2))
def test_another_byte_is_the_right_value_or_corruption(first: int) -> None:
    """Naming file and offset; never a wrong value, and never a crash."""
    wrong = {str(damage): why for damage in flips(20, first) if (why := judge(damage)[1]) is not None}
    assert not wrong


def test_misplaced_blocks_are_found_out() -> None:
    """A block at another place of its file, or in another file, is not taken for what belongs there."""
    wrong = {str(damage): why for damage in swaps(12) if (why := judge(damage)[1]) is not None}
    assert not wrong
