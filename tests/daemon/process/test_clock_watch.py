"""What the log says of a wall clock that is not fit to stamp commits with."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from replicad.daemon.process.clock_watch import ClockWatch, finding
from replicad.store.commit_clock import ClockState


@pytest.mark.parametrize(
    ("ahead", "behind", "limit", "expected"),
    [
        (0.0, 0.0, 600.0, "right"),
        (700.0, 0.0, 600.0, "ahead"),
        (0.0, 5.0, 600.0, "right"),
        (0.0, 700.0, 600.0, "behind"),
        (0.0, 700.0, 0.0, "right"),
    ],
)
def test_a_clock_that_is_off_by_more_than_the_limit_is_a_finding(
    ahead: float, behind: float, limit: float, expected: str
) -> None:
    assert finding(ClockState(ahead, behind), limit) == expected


def test_each_change_is_said_once() -> None:
    watch = ClockWatch()
    with capture_logs() as events:
        for ahead, behind in ((0.0, 0.0), (900.0, 0.0), (901.0, 0.0), (0.0, 0.0), (0.0, 900.0), (0.0, 899.0)):
            watch.look(ClockState(ahead, behind), 600.0)
    assert [event["event"] for event in events] == ["clock.jumped_ahead", "clock.right_again", "clock.behind"]
