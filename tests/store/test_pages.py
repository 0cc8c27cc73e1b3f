"""How much a scan reads ahead of its reader."""

from __future__ import annotations

from itertools import islice

import pytest

from replicad.store import reading

KEYS = [(b"%06d" % number, b"") for number in range(10_000)]


class Cursor:
    """Gives pages, and counts the pairs that it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def page(self, count: int) -> list[reading.Pair]:
        page = KEYS[self.asked : self.asked + count]
        self.asked += count
        return page


class View:
    def __init__(self) -> None:
        self.cursor = Cursor()

    def scan(self, *arguments: object) -> Cursor:
        return self.cursor


@pytest.mark.parametrize("taken", [1, 64, 65, 100, 1000, 5000])
def test_who_stops_early_pays_for_little_more(taken: int) -> None:
    """Pages grow by doubling, from small to a limit: what is read is at most three times what is taken."""
    view = View()
    pairs = reading.scan(view, 1, None, None, None, False, None)  # type: ignore[arg-type]
    assert list(islice(pairs, taken)) == KEYS[:taken]
    assert view.cursor.asked <= max(3 * taken, reading.FIRST_PAGE)


def test_pages_cut_anywhere_add_up_to_the_scan() -> None:
    """However the pages are cut."""
    assert list(reading.scan(View(), 1, None, None, None, False, None)) == KEYS  # type: ignore[arg-type]
