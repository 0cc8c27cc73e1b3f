"""The lanes of background work."""

from __future__ import annotations

import threading

from replicad.env import runner


def test_a_lane_goes_on_after_a_job_had_no_memory() -> None:
    """The job is done again until it is done, and those behind it are, too."""
    tries: list[int] = []
    done = threading.Event()

    def job() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise MemoryError

    lane = runner.ThreadLane("test")
    lane.submit(job)
    lane.submit(done.set)
    try:
        assert done.wait(20)
    finally:
        lane.close()
    assert len(tries) == 3
