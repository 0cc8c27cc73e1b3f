"""The frame writer makes the frames of proto/log.md, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import CorruptionError, InvalidArgument
from tests.support.oracle import batch as oracle
from tests.support.oracle import frame
from tests.support.stores import log_strategies as logs

DATABASE_ID = bytes(range(16))


def writer_at(log: frame.Log) -> kernels.FrameWriter:
    return kernels.FrameWriter(log.database_id, log.epoch, log.sequence, log.history_hash, log.commit_time_us)


def state(writer: kernels.FrameWriter) -> tuple[int, int, int, int]:
    return writer.epoch, writer.sequence, writer.history_hash, writer.commit_time_us


def add(writer: kernels.FrameWriter, body: list[oracle.Record], now_us: int, durable: int) -> int:
    """Through the short way where there is one."""
    kind, family, key, value = body[0]
    if len(body) == 1 and kind == oracle.PUT:
        return writer.add_put(key, value or b"", family, now_us, durable)
    if len(body) == 1 and kind == oracle.DELETE:
        return writer.add_delete(key, family, now_us, durable)
    return writer.add_batch(logs.fill(kernels.Batch(), body), now_us, durable)


@given(logs.logs(max_frames=0), st.lists(st.tuples(logs.full_bodies, logs.times_us, st.integers(0, 2**63))))
def test_writes_as_the_oracle(log: frame.Log, batches: list[tuple[list[oracle.Record], int, int]]) -> None:
    """The same batches from the same position make the same frames and end at the same position."""
    writer = writer_at(log)
    for body, now_us, durable in batches:
        assert add(writer, body, now_us, durable) == log.append(body, now_us, durable)
    assert writer.pending() == log.data
    assert writer.pending_bytes == len(log.data)
    assert state(writer) == (log.epoch, log.sequence, log.history_hash, log.commit_time_us)


@given(logs.full_bodies, logs.full_bodies, logs.full_bodies)
def test_rollback_returns_to_the_position_before(
    kept: list[oracle.Record], lost: list[oracle.Record], then: list[oracle.Record]
) -> None:
    """After a rollback the next frame follows the last one that was committed."""
    log = frame.Log(DATABASE_ID)
    writer = writer_at(log)
    memtables = kernels.MemtableSet()
    add(writer, kept, 5, 0)
    writer.commit(memtables)
    log.append(kept, 5, 0)
    before = state(writer)
    add(writer, lost, 9, 0)
    add(writer, lost, 9, 0)
    writer.rollback()
    assert (state(writer), writer.pending()) == (before, b"")
    add(writer, then, 7, 0)
    log.append(then, 7, 0)
    assert writer.pending() == log.frames[-1]


def test_commit_time_never_goes_back() -> None:
    """A clock that was set back does not show in the log."""
    writer = kernels.FrameWriter(DATABASE_ID, 1, 0, 0, 100)
    for now_us in (50, 200, 150):
        writer.add_put(b"k", b"v", 0, now_us, 0)
    assert [frame[3] for frame in kernels.list_frames(writer.pending())] == [100, 200, 200]


def test_annotations_alone_take_one_sequence_number() -> None:
    """A frame spans max(1, operations) sequence numbers."""
    writer = kernels.FrameWriter(DATABASE_ID, 1, 0, 0)
    batch = kernels.Batch()
    batch.put_log_data(b"note")
    batch.put_log_data(b"another")
    assert writer.add_batch(batch, 0, 0) == 1
    batch.put(b"k", b"v")
    batch.delete(b"k")
    assert writer.add_batch(batch, 0, 0) == 3


def test_a_new_epoch_goes_on_with_the_history() -> None:
    """Frames after start_epoch carry the epoch and extend the same chain."""
    log = frame.Log(DATABASE_ID)
    writer = writer_at(log)
    writer.add_put(b"k", b"v", 0, 1, 0)
    with pytest.raises(RuntimeError):
        writer.start_epoch(2)
    writer.commit(kernels.MemtableSet())
    with pytest.raises(InvalidArgument):
        writer.start_epoch(1)
    writer.start_epoch(2)
    writer.add_delete(b"k", 0, 2, 1)
    log.append([(oracle.PUT, 0, b"k", b"v")], 1, 0)
    log.epoch = 2
    log.append([(oracle.DELETE, 0, b"k", None)], 2, 1)
    assert writer.pending() == log.frames[1]


def test_reset_goes_on_after_frames_from_elsewhere() -> None:
    """After a reset the writer stands where it was told, and refuses to while frames are pending."""
    writer = kernels.FrameWriter(DATABASE_ID, 1, 0, 0)
    writer.reset(3, 70, 0xABC, 9)
    assert state(writer) == (3, 70, 0xABC, 9)
    assert writer.add_put(b"k", b"v", 0, 0, 0) == 71
    with pytest.raises(RuntimeError):
        writer.reset(3, 70, 0xABC, 9)


def test_refuses_what_has_no_frame() -> None:
    """An empty batch, an id of another length, and a sequence number that does not exist are refused."""
    writer = kernels.FrameWriter(DATABASE_ID, 1, 2**56 - 2, 0)
    with pytest.raises(InvalidArgument):
        writer.add_batch(kernels.Batch(), 0, 0)
    with pytest.raises(InvalidArgument):
        writer.add_put(bytes(65537), b"", 0, 0, 0)
    assert writer.add_put(b"k", b"", 0, 0, 0) == 2**56 - 1
    with pytest.raises(InvalidArgument):
        writer.add_delete(b"k", 0, 0, 0)
    with pytest.raises(InvalidArgument):
        kernels.FrameWriter(b"short", 1, 0, 0)


@given(logs.logs())
def test_lists_frames_and_where_their_bodies_are(log: frame.Log) -> None:
    """Each listed frame names its header's fields, and body_start and body_end cut out its body."""
    listed = kernels.list_frames(log.data)
    assert len(listed) == len(log.frames)
    for (epoch, first, count, time_us, hash_, start, end), expected in zip(listed, log.frames, strict=True):
        header = frame.HEADER.unpack(expected[:56])
        assert (epoch, count, first) == (header[3], header[4], header[6])
        assert (time_us, hash_) == header[8:10]
        assert log.data[start:end] == expected[56:]
    if log.frames:
        with pytest.raises(CorruptionError):
            kernels.list_frames(log.data[:-1])


@given(logs.logs())
def test_decodes_a_frame_header(log: frame.Log) -> None:
    """Every field is what the slow twin packed, wherever the frame stands; part of a header is refused."""
    at = 0
    for expected in log.frames:
        header = kernels.FrameHeader.decode(log.data, at)
        packed = frame.HEADER.unpack(expected[: kernels.FRAME_HEADER_BYTES])
        assert (header.body_length, header.epoch, header.operation_count) == (packed[1], packed[3], packed[4])
        assert (header.first_sequence, header.durable_sequence) == (packed[6], packed[7])
        assert (header.commit_time_us, header.history_hash) == packed[8:10]
        assert header.last_sequence == header.first_sequence + max(1, header.operation_count) - 1
        assert header.size == len(expected)
        with pytest.raises(CorruptionError):
            kernels.FrameHeader.decode(log.data[: at + kernels.FRAME_HEADER_BYTES - 1], at)
        at += header.size
    with pytest.raises(CorruptionError):
        kernels.FrameHeader.decode(log.data, at)
