"""The golden vectors of proto/vectors: kernel and oracle read them alike and write them byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from replicad import kernels
from replicad.errors import CorruptionError
from replicad.store.wal.segment import SegmentHeader
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence
from tests.support.oracle import batch, checksums, frame, segment
from tests.support.oracle.varint import Malformed
from tests.support.stores import log_strategies as logs

VECTORS = Path(__file__).parents[2] / "proto" / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def by_name(vector: dict[str, Any]) -> str:
    return str(vector.get("name") or vector.get("file"))


def record_of(vector: dict[str, Any]) -> batch.Record:
    value = vector["value"]
    key = bytes.fromhex(vector["key"])
    return vector["kind"], vector["family"], key, None if value is None else bytes.fromhex(value)


@pytest.mark.parametrize("vector", load("checksums.json"))
def test_both_checksums_have_the_written_values(vector: dict[str, Any]) -> None:
    """Both checksums have the written values."""
    data, value, seed = bytes.fromhex(vector["data"]), vector["crc32c_value"], vector["xxh64_seed"]
    for crc32c, xxh64 in ((kernels.crc32c, kernels.xxh64), (checksums.crc32c, checksums.xxh64)):
        assert f"{crc32c(data, value):08x}" == vector["crc32c"]
        assert f"{xxh64(data, seed):016x}" == vector["xxh64"]


@pytest.mark.parametrize("vector", load("batch.json")["valid"], ids=by_name)
def test_a_body_decodes_to_its_records_and_back(vector: dict[str, Any]) -> None:
    """A body decodes to its records and the records encode to the body."""
    body, records = bytes.fromhex(vector["body"]), [record_of(record) for record in vector["records"]]
    assert kernels.decode_batch(body) == batch.decode_body(body) == records
    assert logs.fill(kernels.Batch(), records).data == batch.encode_body(records) == body


@pytest.mark.parametrize("vector", load("batch.json")["invalid"], ids=by_name)
def test_a_malformed_body_is_refused_at_the_written_offset(vector: dict[str, Any]) -> None:
    """A malformed body is refused at the written offset."""
    body = bytes.fromhex(vector["body"])
    with pytest.raises(Malformed):
        batch.decode_body(body)
    with pytest.raises(CorruptionError) as caught:
        kernels.decode_batch(body)
    assert caught.value.offset == vector["offset"]


@pytest.mark.parametrize("vector", load("log/segments.json"), ids=by_name)
def test_a_segment_reads_as_written_to_store_kernel_and_oracle(vector: dict[str, Any]) -> None:
    """A segment's header and frames read as written, to the store, the kernel and the oracle."""
    data = (VECTORS / "log" / vector["file"]).read_bytes()
    header = segment.SegmentHeader.decode(data)
    expected = vector["header"]
    assert header == segment.SegmentHeader(
        expected["epoch"],
        bytes.fromhex(expected["database_id"]),
        expected["sequence"],
        int(expected["history_hash"], 16),
        expected["previous_epoch"],
    )
    assert header.encode() == data[:64]
    previous = Position(
        Epoch(header.previous_epoch), Sequence(header.sequence), HistoryHash(header.history_hash)
    )
    own = SegmentHeader(DatabaseId(header.database_id), Epoch(header.epoch), previous)
    assert SegmentHeader.decode(data) == own
    assert own.encode() == data[:64]
    assert vector["file"] == segment.file_name(header.epoch, header.sequence + 1)

    frames = data[64:]
    before = (header.database_id, header.previous_epoch, header.sequence, header.history_hash)
    scan = kernels.scan_frames(frames, *before)
    assert (scan.stop, scan.end, scan.frames) == (kernels.SCAN_END, len(frames), len(vector["frames"]))
    assert frame.scan(frames, *before).end == len(frames)

    listed = kernels.list_frames(frames)
    for got, known in zip(listed, vector["frames"], strict=True):
        epoch, first, count, time_us, hash_, start, end = got
        assert start + 64 == known["offset"] + kernels.FRAME_HEADER_BYTES
        assert (epoch, first, count) == (known["epoch"], known["first_sequence"], known["operation_count"])
        assert (time_us, f"{hash_:016x}") == (known["commit_time_us"], known["history_hash"])
        assert kernels.decode_batch(frames[start:end]) == [record_of(record) for record in known["records"]]


def test_segments_are_written_again_byte_for_byte() -> None:
    """A writer that is given the records makes both segments' frames again, across the epochs."""
    segments = load("log/segments.json")
    first = segments[0]["header"]
    writer = kernels.FrameWriter(bytes.fromhex(first["database_id"]), first["epoch"], first["sequence"], 0)
    for vector in segments:
        if vector["header"]["epoch"] > writer.epoch:
            writer.start_epoch(vector["header"]["epoch"])
        for known in vector["frames"]:
            batch_again = logs.fill(kernels.Batch(), [record_of(record) for record in known["records"]])
            writer.add_batch(batch_again, known["commit_time_us"], known["durable_sequence"])
        data = (VECTORS / "log" / vector["file"]).read_bytes()
        assert writer.pending() == data[64:]
        writer.commit(kernels.MemtableSet())
