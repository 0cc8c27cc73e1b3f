"""What a feed tells its slot when some updates were filtered out."""

from __future__ import annotations

from replicad.feed.acknowledgements import Acknowledgements
from replicad.types import Epoch, HistoryHash, Position, Sequence


def at(sequence: int) -> Position:
    return Position(Epoch(1), Sequence(sequence), HistoryHash(sequence))


def test_what_was_filtered_out_goes_with_the_update_before_it() -> None:
    """Nothing is acknowledged that comes after an update which the program still has."""
    found = Acknowledgements()
    found.gave(at(1))
    found.skipped(at(2))
    found.skipped(at(3))
    assert found.pending is None
    found.acknowledge(at(1))
    assert found.pending == at(3)
    found.sent = at(3)
    assert found.pending is None
    found.skipped(at(4))
    assert found.pending == at(4)


def test_a_feed_that_gives_nothing_moves_its_slot() -> None:
    """All of it was filtered out, so all of it is done."""
    found = Acknowledgements()
    found.skipped(at(1))
    found.skipped(at(2))
    assert found.pending == at(2)


def test_acknowledgements_never_go_back() -> None:
    """An older position changes nothing; one acknowledgement stands for all before it."""
    found = Acknowledgements()
    for sequence in (1, 2, 3):
        found.gave(at(sequence))
    found.acknowledge(at(2))
    found.skipped(at(4))
    assert found.pending == at(2)
    found.acknowledge(at(1))
    assert found.pending == at(2)
    found.acknowledge(at(3))
    assert found.pending == at(4)
