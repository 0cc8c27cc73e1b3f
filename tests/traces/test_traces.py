"""Every create, write, sync, link, rename and unlink comes in the order that was reviewed."""

from __future__ import annotations

import pytest

from tests.traces.every import DIRECTORY, TRACES, golden
from tests.traces.trace import trace


@pytest.mark.parametrize("name", TRACES)
def test_the_order_of_calls_is_the_golden_one(name: str) -> None:
    """`python -m tests.traces` writes the files anew, after a change that is meant."""
    assert trace(TRACES[name]()) == golden(name).read_text()


def test_every_golden_trace_is_played() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.txt")} == set(TRACES)
