"""A write as one step of the kernel: numbered, appended by the caller's file, inserted, told of; in that
order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from replicad import kernels
from replicad.errors import InvalidArgument, StoreError

DATABASE_ID = bytes(range(16))


@dataclass
class File:
    """Takes at most 50 bytes a call."""

    size: int = 0
    content: bytearray = field(default_factory=bytearray)
    before: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> int:
        self.before()
        self.content += data[:50]
        return len(data[:50])


@dataclass
class Log:
    live_file: File | None


@dataclass
class Progress:
    ended: bool = False
    appended: int = 0
    visible: int = 0
    visible_when_durable: bool = False


class Store:
    """What an appender works on."""

    def __init__(self, segment_bytes: int = 1 << 20) -> None:
        self.frames = kernels.FrameWriter(DATABASE_ID, 1, 0, 0)
        self.memtable, self.memtables = kernels.Memtable(), kernels.MemtableSet()
        self.memtables.set(0, self.memtable)
        self.file, self.progress, self.lock = File(), Progress(), threading.RLock()
        self.log = Log(self.file)
        self.appender = kernels.Appender(
            self.frames,
            self.memtables,
            self.lock,
            self.log,
            self.progress,
            lambda: 7_999,
            segment_bytes,
            1 << 30,
        )
        self.appender.believe(0, 10_000, 0)


def batch_of(*keys: bytes) -> kernels.Batch:
    batch = kernels.Batch()
    for key in keys:
        batch.put(key, b"value")
    return batch


def test_a_time_that_nobody_judged_is_not_written() -> None:
    """The step is not taken, and nothing has changed; what the clock is ahead is taken from the time."""
    store = Store()
    for judgement in ((8, 10_000, 0), (0, 6, 0)):
        store.appender.believe(*judgement)
        assert store.appender.put(b"k", b"v", 0, 0) is None
        assert store.appender.delete(b"k", 0, 0) is None
        assert store.appender.write([batch_of(b"k")], 0) is None
        assert store.file.content == b"" and store.frames.sequence == store.frames.pending_bytes == 0
    store.appender.believe(7, 7, 3)
    assert store.appender.put(b"k", b"v", 0, 0) == (1, False)
    assert store.frames.commit_time_us == 4


def test_a_step_does_what_its_parts_do() -> None:
    """The bytes appended, the position and the entries are those of add_…, pending and commit."""
    store, other = Store(), Store()
    store.file.before = lambda: entries_are(store, other.memtable.entries)

    def entries_are(store: Store, count: int) -> None:
        assert store.memtable.entries == count, "inserted before it was in the log"

    expected = b""
    steps: list[tuple[Callable[[], tuple[int, ...] | None], Callable[[], int]]] = [
        (
            lambda: store.appender.put(b"a", b"value", 0, 3),
            lambda: other.frames.add_put(b"a", b"value", 0, 7, 3),
        ),
        (lambda: store.appender.delete(b"a", 0, 3), lambda: other.frames.add_delete(b"a", 0, 7, 3)),
        (
            lambda: store.appender.write([batch_of(b"b", b"c")], 3),
            lambda: other.frames.add_batch(batch_of(b"b", b"c"), 7, 3),
        ),
    ]
    for step, add in steps:
        done = step()
        assert done is not None and add() == done[-2]
        expected += other.frames.pending()
        other.frames.commit(other.memtables)
        assert store.file.content == expected and store.file.size == len(expected)
        assert store.progress.appended == store.progress.visible == done[-2]
    assert store.frames.written == other.frames.written
    assert store.memtable.items() == other.memtable.items()
    assert not store.lock._is_owned()  # type: ignore[attr-defined]


def test_only_what_is_durable_is_visible_where_that_counts() -> None:
    """Under "sync" a step tells what was appended, and nothing more."""
    store = Store()
    store.progress.visible_when_durable = True
    store.appender.put(b"a", b"value", 0, 0)
    assert (store.progress.appended, store.progress.visible) == (1, 0)


def test_several_items_are_one_write() -> None:
    """Each batch and each pair has a frame of its own; the numbers are the first and the last of all."""
    store = Store()
    assert store.appender.write([(b"a", b"1"), batch_of(b"b", b"c"), (b"d", b"2")], 0) == (1, 4, False)
    assert len(kernels.list_frames(bytes(store.file.content))) == 3


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_the_append_raises_leaves_nothing(error: BaseException) -> None:
    """No entry, no number; further steps take nothing until the failure was taken."""
    store = Store()

    def fail() -> None:
        raise error

    store.file.before = fail
    with pytest.raises(type(error)):
        store.appender.put(b"key", b"value", 0, 0)
    assert (store.frames.written, store.memtable.entries, store.progress.appended) == ((1, 0, 0), 0, 0)
    store.file.before = lambda: None
    assert store.appender.failed
    assert store.appender.put(b"key", b"value", 0, 0) is None
    assert store.appender.take_failure() == (True, error, False)
    assert store.appender.put(b"key", b"value", 0, 0) == (1, False)


def test_it_takes_nothing_while_there_is_something_to_decide() -> None:
    """No file, an ended store, a refusal, a family that is not there, another last number: None, each
    time."""
    store = Store()
    assert store.appender.put(b"a", b"", 5, 0) is None
    assert store.appender.write([batch_of(b"a")], 0, at=1) is None
    store.log.live_file = None
    assert store.appender.put(b"a", b"", 0, 0) is None
    store.log.live_file, store.progress.ended = store.file, True
    assert store.appender.delete(b"a", 0, 0) is None
    store.progress.ended, store.appender.takes = False, False
    assert store.appender.write([batch_of(b"a")], 0) is None
    control = kernels.Batch()
    control.add_mark(b"x")
    store.appender.takes = True
    assert store.appender.write([(b"a", b""), control], 0) is None
    assert not store.file.content and store.frames.written == (1, 0, 0)


def test_a_check_that_raises_changes_nothing() -> None:
    """It is called under the lock, which is free again afterwards."""
    store = Store()

    def refuse() -> None:
        assert store.lock._is_owned()  # type: ignore[attr-defined]
        raise KeyError("another value")

    with pytest.raises(KeyError):
        store.appender.write([batch_of(b"a")], 0, check=refuse)
    assert not store.file.content and not store.lock._is_owned()  # type: ignore[attr-defined]


def test_a_bad_item_leaves_no_frame_of_those_before_it() -> None:
    """Limits are found while frames are made, and none of them is written."""
    store = Store()
    with pytest.raises(InvalidArgument):
        store.appender.write([(b"a", b""), (b"k" * 70_000, b"")], 0)
    assert store.appender.put(b"a", b"", 0, 0) == (1, False)


def test_a_full_segment_is_told() -> None:
    """The caller rotates then."""
    store = Store(segment_bytes=100)
    assert [store.appender.put(b"a", b"", 0, 0) for _ in range(2)] == [(1, False), (2, True)]


def test_writing_from_within_a_write_is_refused() -> None:
    """A finalizer that writes in the middle of another write would wait for itself."""
    store = Store()
    with pytest.raises(StoreError, match="from within a write"):
        store.appender.write([(b"a", b"")], 0, check=lambda: store.appender.put(b"b", b"", 0, 0) and None)
    assert store.appender.put(b"a", b"", 0, 0) == (1, False)
