"""docs/metrics.md says what a node exports."""

from __future__ import annotations

from tests.deploy.metrics_page import PAGE, page


def test_the_page_of_the_metrics_is_up_to_date() -> None:
    """`python -m tests.deploy.metrics_page` writes it anew."""
    assert PAGE.read_text() == page()
