"""Why something failed, in words for people."""

from __future__ import annotations

import asyncio
import doctest

import pytest

from replicad.env import reasons
from replicad.env.reasons import reason_of


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(reasons).failed == 0


@pytest.mark.parametrize("error", [asyncio.CancelledError(), TimeoutError(), RuntimeError(), OSError()])
def test_no_reason_is_the_bare_name_of_a_class(error: BaseException) -> None:
    """An error without words of its own gets some."""
    assert " " in reason_of(error)
