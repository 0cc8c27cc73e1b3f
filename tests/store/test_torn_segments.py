"""Whole segments that a crash left without a header, or that never reached the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import replicad
from replicad.store.database import open_database
from replicad.store.wal.segment import HEADER_BYTES
from tests.support.stores.small import as_after_kill, fill, small_options


def log_files(directory: Path) -> list[Path]:
    return sorted((directory / "wal").glob("*.log"))


def killed(tmp_path: Path, count: int = 60) -> Path:
    """What a kill leaves of a database with several segments, nothing of it known to the manifest."""
    options = small_options(segment_bytes=4096, memtable_bytes=8 << 20, durability="sync")
    database = replicad.open(tmp_path / "db", options)
    fill(database, count)
    database.wait_durable(count)
    left = as_after_kill(tmp_path / "db", tmp_path / "left")
    database.close()
    return left


@pytest.mark.parametrize("content", [b"", b"RPLC", bytes(HEADER_BYTES), bytes(5000)])
def test_a_new_segment_without_header_stops_nobody(tmp_path: Path, content: bytes) -> None:
    """A kill right after a segment was created costs nothing: the database opens and takes writes again."""
    left = killed(tmp_path)
    (left / "wal" / "0000000001-00000000000000000061.log").write_bytes(content)
    with replicad.open(left, small_options()) as again:
        assert again.latest_sequence == 60 and again.notes
        assert again.put(b"after", b"1") == 61
    with replicad.open(left, small_options()) as again:
        assert again.get(b"after") == b"1" and not again.notes


def test_a_damaged_header_of_durable_log_stops_a_primary(tmp_path: Path) -> None:
    """A segment header that rots under frames that were durable is corruption, not a torn tail."""
    left = killed(tmp_path)
    last = log_files(left)[-1]
    content = bytearray(last.read_bytes())
    content[20] ^= 1
    last.write_bytes(content)
    with pytest.raises(replicad.CorruptionError) as caught:
        replicad.open(left, small_options())
    assert (caught.value.path, caught.value.offset) == (last, 0)
    with open_database(left, small_options(), role="replica") as replica:
        assert replica.latest_sequence == int(last.name[11:31]) - 1 and replica.notes


def test_a_damaged_header_after_a_clean_close_stops_everybody(tmp_path: Path) -> None:
    """The manifest says that the frames were durable, whatever the header says now."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        database.put(b"a", b"1")
    log_files(tmp_path / "db")[-1].write_bytes(b"")
    for role in ("owner", "replica"):
        with pytest.raises(replicad.CorruptionError) as caught:
            open_database(tmp_path / "db", small_options(), role=role)
        assert caught.value.path == log_files(tmp_path / "db")[-1]


def test_a_lost_segment_above_the_bound_is_a_torn_tail(tmp_path: Path) -> None:
    """Segments may reach the disk out of order: what follows a lost one is kept aside by a replica."""
    left = killed(tmp_path)
    files = log_files(left)
    assert len(files) == 3
    first = int(files[1].name[11:31])
    files[1].unlink()
    with open_database(left, small_options(), role="replica") as replica:
        assert replica.latest_sequence == first - 1
        assert replica.notes and len(list((left / "wal").glob("*.torn"))) == len(files) - 2


def test_a_lost_segment_that_was_durable_stops_a_primary(tmp_path: Path) -> None:
    """Frames after the gap prove that it was durable."""
    left = killed(tmp_path)
    log_files(left)[1].unlink()
    with pytest.raises(replicad.CorruptionError, match="missing"):
        replicad.open(left, small_options())


def test_damage_to_flushed_log_does_not_stop_a_node(tmp_path: Path) -> None:
    """Rot in frames that tables hold costs the readers of that log, and nothing of the data."""
    options = small_options(segment_bytes=1 << 20, memtable_bytes=8 << 20)
    database = replicad.open(tmp_path / "db", options)
    fill(database, 50)
    database.flush()
    fill(database, 50, start=50)
    database.wait_durable(100)
    left = as_after_kill(tmp_path / "db", tmp_path / "left")
    database.close()
    (segment,) = log_files(left)
    content = bytearray(segment.read_bytes())
    content[1000] ^= 1
    segment.write_bytes(content)
    with replicad.open(left, options) as again:
        assert again.latest_sequence == 100 and not again.notes
        assert sum(1 for _ in again.scan()) == 100
        assert [update.first_sequence for update in again.get_updates_since(51)][-1] == 100
        with pytest.raises(replicad.CorruptionError):
            list(again.get_updates_since(1))


def test_a_frame_of_a_newer_format_is_not_cut(tmp_path: Path) -> None:
    """A frame whose header is whole but of a newer format is refused, never taken for a torn tail."""
    from replicad import kernels

    left = killed(tmp_path, 3)
    segment = log_files(left)[-1]
    content = bytearray(segment.read_bytes())
    database_id = bytes(content[16:32])
    frame = (len(content) - HEADER_BYTES) // 3
    begin = HEADER_BYTES + 2 * frame
    content[begin + 20] = 1
    header = bytes(content[begin + 4 : begin + 56])
    content[begin : begin + 4] = kernels.crc32c(database_id + header).to_bytes(4, "little")
    segment.write_bytes(content)
    with pytest.raises(replicad.NewerFormatError):
        replicad.open(left, small_options())
    assert segment.read_bytes() == content


def test_an_epoch_whose_first_frame_was_lost_has_not_begun(tmp_path: Path) -> None:
    """The manifest learns of an epoch before the log is durable; when the log loses it, so does the node."""
    from replicad import kernels
    from replicad.store.write.control import encode_epoch
    from replicad.types import Epoch, EpochRecord

    with replicad.open(tmp_path / "db", small_options()) as primary:
        fill(primary, 10)
        primary.create_checkpoint(tmp_path / "replica", flush=True)
    replica = open_database(tmp_path / "replica", small_options(), role="replica")
    fork = replica.position
    writer = kernels.FrameWriter(replica.database_id, fork.epoch, fork.sequence, fork.history_hash)
    writer.start_epoch(2)
    batch = kernels.Batch()
    batch.add_epoch(encode_epoch(EpochRecord(Epoch(2), b"e" * 16, fork)))
    writer.add_batch(batch, 1, 0)
    assert replica.apply_frames(writer.pending()).epoch == 2
    assert [record.epoch for record in replica.epochs] == [1, 2]
    whole = as_after_kill(tmp_path / "replica", tmp_path / "whole")
    lost = as_after_kill(tmp_path / "replica", tmp_path / "lost")
    replica.close()
    with open_database(whole, small_options(), role="replica") as again:
        assert [record.epoch for record in again.epochs] == [1, 2]
    log_files(lost)[-1].write_bytes(b"")
    with open_database(lost, small_options(), role="replica") as again:
        assert again.position == fork and [record.epoch for record in again.epochs] == [1]


def test_log_of_another_history_is_refused(tmp_path: Path) -> None:
    """The manifest's position decides: frames of the right numbers that follow another one are corruption."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 5)
    shutil.copytree(tmp_path / "db", tmp_path / "other")
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 5, start=5)
        database.flush()
    with replicad.open(tmp_path / "other", small_options()) as database:
        fill(database, 5, start=100)
    with replicad.open(tmp_path / "other", small_options()) as database:
        fill(database, 5, start=105)
    shutil.rmtree(tmp_path / "db" / "wal")
    shutil.copytree(tmp_path / "other" / "wal", tmp_path / "db" / "wal")
    with pytest.raises(replicad.CorruptionError, match="not the continuation of the manifest"):
        replicad.open(tmp_path / "db", small_options())
