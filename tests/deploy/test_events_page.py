"""docs/events.md says what a node logs, and names of events are alike."""

from __future__ import annotations

import re

from tests.deploy.events_page import PAGE, events, page


def test_the_page_is_fresh() -> None:
    """`python -m tests.deploy.events_page` writes it."""
    assert PAGE.read_text() == page()


def test_names_of_events() -> None:
    """A part and what happened there: alerts and dashboards count on them."""
    assert len(events()) > 80
    for name in events():
        assert re.fullmatch(r"[a-z]+\.[a-z0-9_]+", name), name
