"""The states of a replica's link, and the moves between them."""

from __future__ import annotations

import re

import pytest

from replicad.replication.replica import link_state
from replicad.replication.replica.link_state import MOVES, Link, LinkState, is_progress


@pytest.mark.parametrize("state", LinkState)
def test_every_state_has_its_moves_and_ends(state: LinkState) -> None:
    """Whatever a link does, the node may let go of it, and then nothing begins again."""
    assert LinkState.DOWN in MOVES[state]
    assert MOVES[LinkState.DOWN] == {LinkState.DOWN}


def test_every_state_is_reached() -> None:
    reached, waiting = set(), [LinkState.WAITING]
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting += MOVES[state]
    assert reached == set(LinkState)


def test_the_drawing_has_every_state() -> None:
    drawing = (link_state.__doc__ or "").split("\n\n")[1:]
    assert all(re.search(rf"\b{state}\b", "\n".join(drawing)) for state in LinkState)


def test_a_move_keeps_the_time_of_its_state() -> None:
    """What a state waits for may change without entering it again."""
    link = Link(heartbeat_seconds=1.0, since=1.0)
    link.move(LinkState.CONNECTING, "the primary", 2.0)
    link.move(LinkState.CONNECTING, "another address", 3.0)
    assert (link.since, link.waits_for) == (2.0, "another address")


def test_a_move_that_cannot_be_is_a_bug() -> None:
    """Data is never exchanged without an agreement."""
    with pytest.raises(AssertionError, match="waiting cannot become installing"):
        Link(heartbeat_seconds=1.0).move(LinkState.INSTALLING, "", 1.0)


@pytest.mark.parametrize(
    ("began_at", "received", "primary", "expected"),
    [
        pytest.param(5, 5, 9, False, id="nothing came yet"),
        pytest.param(5, 6, 9, True, id="something came"),
        pytest.param(9, 9, 9, True, id="nothing is missing"),
        pytest.param(9, 9, 8, True, id="the primary's durable is behind what it sent"),
    ],
)
def test_what_ends_the_count_of_attempts(began_at: int, received: int, primary: int, expected: bool) -> None:
    """An agreement alone does not."""
    assert is_progress(began_at, received, primary) is expected
