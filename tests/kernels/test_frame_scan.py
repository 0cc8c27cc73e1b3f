"""Scanning a stretch of the log: how far it is good, and why it stops there."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import InvalidArgument
from tests.support.oracle import batch as oracle
from tests.support.oracle import frame
from tests.support.oracle.checksums import crc32c
from tests.support.stores import log_strategies as logs

ID = bytes(range(16))


def summary(scan: kernels.FrameScan) -> frame.Scan:
    return frame.Scan(
        scan.epoch,
        scan.last_sequence,
        scan.history_hash,
        scan.end,
        scan.frames,
        scan.operations,
        scan.first_sequence,
        scan.commit_time_us,
        scan.durable_sequence,
        scan.stop,
    )


@settings(max_examples=200)
@given(st.data(), logs.logs(), st.booleans(), st.booleans())
def test_agrees_with_the_oracle(draw: st.DataObject, log: frame.Log, chain: bool, body: bool) -> None:
    """Of whole and of damaged logs, kernel and oracle read the same frames and stop for the same reason."""
    epoch, sequence, hash_ = log.start
    data = draw.draw(logs.damaged(log.data))
    stop = draw.draw(st.just(2**64 - 1) | st.integers(sequence, log.sequence))
    limit = draw.draw(st.integers(0, 4))
    sequence += draw.draw(st.sampled_from([0, 0, 0, 1]))
    arguments = (data, log.database_id, epoch, sequence, hash_)
    got = kernels.scan_frames(
        *arguments, stop_sequence=stop, check_chain=chain, check_body=body, max_frames=limit
    )
    expected = frame.scan(
        *arguments, stop_sequence=stop, check_chain=chain, check_body=body, max_frames=limit
    )
    assert summary(got) == expected
    assert bool(got.reason) == (got.stop not in (kernels.SCAN_END, kernels.SCAN_LIMIT))


def three_frames() -> frame.Log:
    log = frame.Log(ID)
    log.append([(oracle.PUT, 0, b"one", b"1")], 10, 0)
    log.append([(oracle.LOG_DATA, 0, b"", b"note"), (oracle.PUT, 0, b"two", b"2")], 20, 1)
    log.append([(oracle.DELETE, 0, b"one", None), (oracle.PUT, 0, b"three", b"3")], 30, 2)
    return log


def test_reads_a_whole_log() -> None:
    """A good log is consumed whole, and the scan ends at the writer's position."""
    log = three_frames()
    scan = kernels.scan_frames(log.data, ID, 1, 0, 0)
    expected = frame.Scan(1, 4, log.history_hash, len(log.data), 3, 4, 1, 30, 2, kernels.SCAN_END)
    assert summary(scan) == expected
    assert scan.reason == ""


def test_every_flipped_byte_is_found() -> None:
    """Whatever byte changes, the scan stops before the frame that holds it, and never later."""
    log = three_frames()
    frame_of = [i for i, data in enumerate(log.frames) for _ in data]
    for at in range(len(log.data)):
        data = bytearray(log.data)
        data[at] ^= 0x10
        scan = kernels.scan_frames(data, ID, 1, 0, 0)
        assert scan.frames == frame_of[at]
        assert scan.stop in (kernels.SCAN_BAD_HEADER, kernels.SCAN_BAD_BODY)


def test_every_cut_is_a_partial_frame() -> None:
    """A log that ends inside a frame is not damaged: more bytes are needed."""
    log = three_frames()
    ends = {0, len(log.frames[0]), len(log.frames[0] + log.frames[1]), len(log.data)}
    for size in range(len(log.data) + 1):
        scan = kernels.scan_frames(log.data[:size], ID, 1, 0, 0)
        assert scan.stop == (kernels.SCAN_END if size in ends else kernels.SCAN_PARTIAL)
        assert scan.end == max(end for end in ends if end <= size)


def test_another_databases_frames_are_no_frames() -> None:
    """Header checksums are seeded with the database id."""
    scan = kernels.scan_frames(three_frames().data, bytes(16), 1, 0, 0)
    assert (scan.stop, scan.end) == (kernels.SCAN_BAD_HEADER, 0)
    with pytest.raises(InvalidArgument):
        kernels.scan_frames(b"", b"short", 1, 0, 0)


@pytest.mark.parametrize(
    ("epoch", "sequence", "history_hash"), [(1, 1, 0), (1, 0, 1), (2, 0, 0)], ids=["gap", "hash", "epoch"]
)
def test_frames_must_follow_the_position(epoch: int, sequence: int, history_hash: int) -> None:
    """A gap, another history or a lower epoch breaks the chain; check_chain=False ignores it."""
    data = three_frames().data
    scan = kernels.scan_frames(data, ID, epoch, sequence, history_hash)
    assert (scan.stop, scan.end, scan.last_sequence) == (kernels.SCAN_BAD_CHAIN, 0, sequence)
    scan = kernels.scan_frames(data, ID, epoch, sequence, history_hash, check_chain=False)
    assert (scan.stop, scan.frames) == (kernels.SCAN_END, 3)


def test_a_missing_frame_is_found_without_the_chain() -> None:
    """Sequence numbers must go on from frame to frame even when the position before them is not known."""
    first, _, third = three_frames().frames
    scan = kernels.scan_frames(first + third, ID, 0, 0, 0, check_chain=False)
    assert (scan.stop, scan.end) == (kernels.SCAN_BAD_CHAIN, len(first))


def test_stops_at_limits() -> None:
    """A stop sequence number inside a frame leaves that frame out; max_frames counts frames."""
    log = three_frames()
    two = len(log.frames[0] + log.frames[1])
    for scan in (
        kernels.scan_frames(log.data, ID, 1, 0, 0, stop_sequence=3),
        kernels.scan_frames(log.data, ID, 1, 0, 0, max_frames=2),
    ):
        assert (scan.stop, scan.end, scan.last_sequence) == (kernels.SCAN_LIMIT, two, 2)
    scan = kernels.scan_frames(log.data, ID, 1, 0, 0, stop_sequence=4, max_frames=3)
    assert (scan.stop, scan.end) == (kernels.SCAN_END, len(log.data))


def test_headers_are_found_again_behind_damage() -> None:
    """A header of this database is recognised wherever it stands, whole, and no other bytes are."""
    log = three_frames()
    second, third = len(log.frames[0]), len(log.frames[0] + log.frames[1])
    assert kernels.find_frame_header(log.data, ID) == 0
    damaged = b"\xff" * 30 + log.data[30:]
    assert kernels.find_frame_header(damaged, ID) == second
    assert kernels.find_frame_header(damaged[second + 1 :], ID) == third - second - 1
    assert kernels.find_frame_header(damaged[second + 1 : third + 55], ID) == -1
    assert kernels.find_frame_header(damaged, bytes(16)) == -1
    assert kernels.find_frame_header(bytes(200), ID) == -1
    with pytest.raises(InvalidArgument):
        kernels.find_frame_header(damaged, b"short")


def test_unknown_flags_are_a_newer_format() -> None:
    """A frame with flags is neither read nor taken for damage."""
    data = bytearray(three_frames().data)
    struct.pack_into("<I", data, 20, 4)
    struct.pack_into("<I", data, 0, crc32c(ID + data[4:56]))
    assert kernels.scan_frames(data, ID, 1, 0, 0).stop == kernels.SCAN_NEWER


def test_a_body_that_is_no_batch_is_refused_though_its_checksums_are_right() -> None:
    """Structure and operation count are checked before a frame is vouched for."""
    for body, count in ((b"\x09", 1), (oracle.encode_record((oracle.PUT, 0, b"k", b"v")), 2)):
        fields = (len(body), crc32c(body), 1, count, 0, 1, 0, 0, 0)
        header = frame.HEADER.pack(0, *fields)
        data = struct.pack("<I", crc32c(ID + header[4:])) + header[4:] + body
        scan = kernels.scan_frames(data, ID, 1, 0, 0, check_chain=False)
        assert scan.stop == kernels.SCAN_BAD_BODY
        scan = kernels.scan_frames(data, ID, 1, 0, 0, check_chain=False, check_body=False)
        assert scan.stop == kernels.SCAN_END
