"""One walk over the frames of a file: whole frames, bounded memory, and what stops it."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from replicad import kernels
from replicad.store.wal.frames import FrameWalk
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

ID = DatabaseId(bytes(range(16)))
START = Position(Epoch(1), Sequence(0), HistoryHash(0))
WINDOW = 256


def log_of(*value_bytes: int) -> bytes:
    """A frame of one put for each size of a value."""
    writer = kernels.FrameWriter(ID, 1, 0, 0)
    for size in value_bytes:
        writer.add_put(b"key", bytes(size), 0, 1000, 0)
    return writer.pending()


def reading(data: bytes, asked: list[int] | None = None) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        if asked is not None:
            asked.append(length)
        return data[offset : offset + length]

    return read


def walk_of(data: bytes, after: Position | Sequence = START, asked: list[int] | None = None) -> FrameWalk:
    return FrameWalk(reading(data, asked), len(data), ID, after, 0)


def all_of(walk: FrameWalk) -> list[bytes]:
    found = []
    while (chunk := walk.next(window_bytes=WINDOW)) is not None:
        found.append(chunk.frames)
    return found


@pytest.mark.parametrize("after", [START, Sequence(0)])
def test_gives_every_frame_and_holds_one_window_or_one_frame(after: Position | Sequence) -> None:
    """A frame that is larger than the window is read by itself, once its header says how large it is."""
    asked: list[int] = []
    data = log_of(10, 20, 5000, 30, 200, 200)
    walk = walk_of(data, after, asked)
    assert b"".join(all_of(walk)) == data
    assert (walk.offset, walk.last, walk.stop) == (len(data), 6, kernels.SCAN_END)
    largest = max(end - begin + kernels.FRAME_HEADER_BYTES for *_, begin, end in kernels.list_frames(data))
    assert max(asked) == largest


@pytest.mark.parametrize("after", [START, Sequence(0)])
def test_stays_before_a_torn_tail_at_any_byte(after: Position | Sequence) -> None:
    """What is cut is never given, whatever the window, and the walk says where it stopped."""
    data = log_of(10, 400)
    (*_, first_end), _ = kernels.list_frames(data)
    for size in range(first_end + 1, len(data)):
        walk = walk_of(data[:size], after)
        assert b"".join(all_of(walk)) == data[:first_end]
        assert (walk.offset, walk.stop, walk.damaged) == (first_end, kernels.SCAN_PARTIAL, False)


def test_ends_where_the_file_is_shorter_than_it_should_be() -> None:
    """It neither waits for bytes that do not come nor takes them for zeros."""
    data = log_of(10, 400)
    (*_, first_end), _ = kernels.list_frames(data)
    for size in (first_end, first_end + 20, first_end + 100):
        walk = FrameWalk(reading(data[:size]), len(data), ID, START, 0)
        assert b"".join(all_of(walk)) == data[:first_end]
        assert not walk.damaged


def test_only_a_walk_after_a_position_checks_history() -> None:
    """The same frames after another history are refused by one and given by the other."""
    data = log_of(10, 20)
    other = Position(Epoch(1), Sequence(0), HistoryHash(7))
    walk = walk_of(data, other)
    assert walk.next() is None
    assert walk.damaged and walk.stop == kernels.SCAN_BAD_CHAIN and "history hash" in walk.reason
    assert b"".join(all_of(walk_of(data, Sequence(0)))) == data


def test_gives_nothing_beyond_a_sequence_number() -> None:
    """With a limit it stops before the first frame that goes beyond, and goes on with a higher one."""
    data = log_of(*[10] * 5)
    walk = walk_of(data)
    chunk = walk.next(through=3)
    assert chunk is not None and chunk.last_sequence == 3
    assert walk.next(through=3) is None and walk.stop == kernels.SCAN_LIMIT
    chunk = walk.next()
    assert chunk is not None and chunk.first_sequence == 4 and chunk.last_sequence == 5


def test_a_read_error_leaves_it_where_it_was() -> None:
    """The error is the caller's, and the next call reads the same frames again."""
    data = log_of(10, 20)
    fails = True

    def read(offset: int, length: int) -> bytes:
        if fails:
            raise OSError(errno.EIO, "Input/output error")
        return data[offset : offset + length]

    walk = FrameWalk(read, len(data), ID, START, 0)
    with pytest.raises(OSError, match="Input/output"):
        walk.next()
    fails = False
    assert b"".join(all_of(walk)) == data


def test_passes_over_frames_by_their_headers() -> None:
    """Bodies are neither checked nor, where a frame is larger than the window, read."""
    asked: list[int] = []
    data = bytearray(log_of(10, 5000, 10, 10))
    data[300] ^= 1  # In the second body.
    walk = walk_of(bytes(data), Sequence(0), asked)
    while walk.skip(through=3, window_bytes=WINDOW):
        pass
    assert (walk.last, walk.stop) == (3, kernels.SCAN_LIMIT)
    assert max(asked) == WINDOW
    chunk = walk.next()
    assert chunk is not None and (chunk.first_sequence, chunk.last_sequence) == (4, 4)
