"""A put in one call of the kernel: encoded, appended by the caller's file, inserted; in that order."""

from __future__ import annotations

import pytest

from replicad import kernels

DATABASE_ID = bytes(range(16))


def make() -> tuple[kernels.FrameWriter, kernels.Memtable, kernels.MemtableSet]:
    memtable, memtables = kernels.Memtable(), kernels.MemtableSet()
    memtables.set(0, memtable)
    return kernels.FrameWriter(DATABASE_ID, 1, 0, 0), memtable, memtables


def test_does_what_the_three_calls_do() -> None:
    """The bytes appended, the position and the entries are those of add_put, pending and commit."""
    writer, memtable, memtables = make()
    other, other_memtable, other_memtables = make()
    log = bytearray()

    def write(data: bytes) -> int:
        assert memtable.entries == number, "inserted before it was in the log"
        log.extend(data[:50])
        return len(data[:50])

    expected = b""
    for number in range(3):
        key = b"key %d" % number
        sequence, frame_bytes, memory_bytes = writer.put(key, b"value", 0, 7_999, number, write, memtables)
        assert other.add_put(key, b"value", 0, 7, number) == sequence == number + 1
        expected += other.pending()
        assert other.commit(other_memtables) == memory_bytes
        assert frame_bytes * (number + 1) == len(log)
    assert log == expected
    assert writer.history_hash == other.history_hash
    assert memtable.items() == other_memtable.items()


def test_what_the_append_raises_leaves_the_frame_pending() -> None:
    """Nothing is inserted, the error is the append's own, and a rollback gives the number back."""
    writer, memtable, memtables = make()

    def refuse(data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        writer.put(b"key", b"value", 0, 7, 0, refuse, memtables)
    assert writer.pending_bytes > 0
    assert memtable.entries == 0
    writer.rollback()
    assert writer.put(b"key", b"value", 0, 7, 0, len, memtables)[0] == 1
    assert memtable.entries == 1
