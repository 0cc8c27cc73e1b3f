"""What the log says of a disk that is slow."""

from __future__ import annotations

from structlog.testing import capture_logs

from replicad.daemon.process.slow_watch import SLOW_SECONDS, SlowWatch
from replicad.env.durations import BOUNDS, Durations


def test_slow_syncs_are_said_once_with_how_many_there_were() -> None:
    """Those since the last look; a store that is opened anew counts from 0."""
    assert SLOW_SECONDS in BOUNDS
    watch, syncs = SlowWatch(), Durations()
    with capture_logs() as events:
        watch.look(syncs)
        syncs.add(0.5)
        syncs.add(SLOW_SECONDS)
        watch.look(syncs)
        syncs.add(1.5)
        syncs.add(60.0)
        watch.look(syncs)
        watch.look(syncs)
        again = Durations()
        again.add(2.0)
        watch.look(again)
    assert [(event["event"], event["syncs"]) for event in events] == [
        ("store.sync_slow", 2),
        ("store.sync_slow", 1),
    ]
