"""A replica whose log is gone looks into an archive first: what it takes from there, and when it gives up."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from replicad.types import EpochRecord, Position
from tests.support.replication.fake_nodes import FakeData, Primary, Replica, running
from tests.support.replication.fake_store import FakeStore, Frame
from tests.support.waiting import until


class FakeArchive:
    """Frames of a primary's log, kept apart; one a time."""

    def __init__(self, frames: list[Frame], *, fails: bool = False) -> None:
        self.frames = list(frames)
        self.fails = fails
        self.asked: list[tuple[int, int]] = []

    def frames_after(
        self, database_id: bytes, epochs: Sequence[EpochRecord], start: Position, goal: int, /
    ) -> Generator[bytes, None, None]:
        self.asked.append((start.sequence, goal))
        for frame in self.frames:
            if start.sequence < frame.after.sequence <= goal:
                yield frame.data
                if self.fails:
                    raise ConnectionError("the target is away")


def nodes(tmp_path: Path) -> tuple[Primary, FakeData, list[Frame]]:
    """A primary at 60 whose log begins at 50, a replica at 5, and all frames there were."""
    store = FakeStore()
    for number in range(60):
        store.write(b"value %d" % number)
    frames = list(store.frames)
    behind = FakeStore()
    behind.apply_frames(b"".join(frame.data for frame in frames[:5]))
    store.forget_log_before(50)
    return Primary(store, tmp_path / "p"), FakeData(behind), frames


async def test_archived_log_saves_a_copy(tmp_path: Path) -> None:
    """What the archive has is applied, the rest is streamed, and nothing is copied."""
    primary, data, frames = nodes(tmp_path)
    archive = FakeArchive(frames[:55])
    replica = Replica(primary, data, tmp_path / "r", archive=archive)
    async with running(replica, primary):
        await until(lambda: data.store and data.store.position == primary.store.position)
        assert archive.asked == [(5, 60)]
        assert data.installed == []
        assert "catching up" in replica.states


async def test_an_archive_that_fails_half_way_helped_as_far_as_it_went(tmp_path: Path) -> None:
    """Each attempt goes on where the last one ended; after a few a copy is fetched."""
    primary, data, frames = nodes(tmp_path)
    archive = FakeArchive(frames, fails=True)
    replica = Replica(primary, data, tmp_path / "r", archive=archive)
    async with running(replica, primary):
        await until(lambda: data.store and data.store.position == primary.store.position)
        assert archive.asked == [(5, 60), (6, 60), (7, 60)]
        assert len(data.installed) == 1


@pytest.mark.parametrize("there", ["nothing", "a gap", "another history"])
async def test_what_does_not_go_on_from_here_is_no_help(tmp_path: Path, there: str) -> None:
    """Without the next frame, or with one of another history, a copy is fetched at once."""
    primary, data, frames = nodes(tmp_path)
    other = FakeStore()
    for number in range(60):
        other.write(b"other %d" % number)
    archive = FakeArchive({"nothing": [], "a gap": frames[20:], "another history": other.frames}[there])
    replica = Replica(primary, data, tmp_path / "r", archive=archive)
    async with running(replica, primary):
        await until(lambda: data.store and data.store.position == primary.store.position)
        assert len(archive.asked) == 1
        assert len(data.installed) == 1
