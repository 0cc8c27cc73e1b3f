"""What a node sends is checked before it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import replicad
from replicad.errors import CorruptionError, DivergedError, GapError
from replicad.feed.frames import updates_in
from replicad.types import ORIGIN, HistoryHash


@pytest.fixture
def store(tmp_path: Path) -> Iterator[replicad.Database]:
    with replicad.open(tmp_path / "db") as store:
        for number in range(6):
            store.put(b"%d" % number, b"v")
        yield store


def frames_since(store: replicad.Database, since: int) -> bytes:
    cursor = store.read_log(since)
    try:
        chunk = cursor.next()
        assert chunk is not None
        return chunk.frames
    finally:
        cursor.close()


def test_frames_become_updates(store: replicad.Database) -> None:
    """From a position on, or from the batch that holds a number."""
    whole = frames_since(store, 1)
    expected = [update.position for update in store.get_updates_since(1)]
    assert [update.position for update in updates_in(whole, store.database_id, ORIGIN)] == expected
    later = updates_in(frames_since(store, 3), store.database_id, 3)
    assert [update.position for update in later] == expected[2:]
    assert [update.operations[0].key for update in later] == [b"2", b"3", b"4", b"5"]


def test_a_gap_is_an_error(store: replicad.Database) -> None:
    """At the beginning and in the middle: never is an update skipped."""
    whole, id = frames_since(store, 1), store.database_id
    with pytest.raises(GapError, match="the batch at 3 after the one that ends at 0"):
        updates_in(frames_since(store, 3), id, ORIGIN)
    with pytest.raises(GapError, match="the batch at 1, and 2 was asked for"):
        updates_in(whole, id, 2)
    frame = len(whole) // 6
    with pytest.raises(GapError, match="the batch at 3 after the one that ends at 1"):
        updates_in(whole[:frame] + whole[2 * frame :], id, ORIGIN)


def test_another_history_is_an_error(store: replicad.Database) -> None:
    """The sequence numbers fit, and the hash does not."""
    position = store.position_at(2)
    assert position is not None
    other = replace(position, history_hash=HistoryHash(7))
    with pytest.raises(DivergedError, match="the batch at 3 does not continue"):
        updates_in(frames_since(store, 3), store.database_id, other)


def test_changed_bytes_are_an_error(store: replicad.Database) -> None:
    """In any frame, also in the first, and of another database."""
    whole = frames_since(store, 1)
    for after in (ORIGIN, 1):
        for at in (len(whole) - 1, 60, 10):
            changed = bytearray(whole)
            changed[at] ^= 1
            with pytest.raises(CorruptionError):
                updates_in(bytes(changed), store.database_id, after)
        with pytest.raises(CorruptionError):
            updates_in(whole, b"x" * 16, after)
