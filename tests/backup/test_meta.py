"""Documents of backups come back as they were written, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replicad import CorruptionError, InvalidArgument, NewerFormatError, Position
from replicad.backup import envelope
from replicad.backup.meta import (
    BackupFile,
    BackupMeta,
    PendingBackup,
    decode_meta,
    decode_pending,
    encode_meta,
    encode_pending,
)
from replicad.backup.names import BackupId
from replicad.types import DatabaseId, Epoch, EpochRecord, HistoryHash, Sequence

POSITION = Position(Epoch(2), Sequence(42), HistoryHash(2**64 - 1))
META = BackupMeta(
    id=BackupId(7),
    database_id=DatabaseId(bytes(range(16))),
    position=POSITION,
    flushed=Position(Epoch(1), Sequence(40), HistoryHash(9)),
    epochs=(EpochRecord(Epoch(1), b"a" * 16, Position(Epoch(1), Sequence(0), HistoryHash(0))),),
    commit_time_us=1_700_000_000_000_000,
    created_us=1_700_000_000_000_001,
    copied_bytes=10,
    copied_files=1,
    metadata=bytes(range(256)),
    files=(
        BackupFile(
            path="000001.sst",
            name="shared_checksum/000001_00ff_10.sst",
            size_bytes=10,
            sha256=bytes(32),
            kind="shared",
        ),
        BackupFile(
            path="wal/ä.log", name="private/7/wal/x.log", size_bytes=3, sha256=b"\1" * 32, kind="private"
        ),
        BackupFile(path="a/b", name="attachments/01", size_bytes=0, sha256=b"\2" * 32, kind="attachment"),
    ),
)
PENDING = PendingBackup(id=BackupId(7), owner="ab" * 8, seen_us=5, names=("a", "b"), all_attachments=True)


def test_meta_comes_back() -> None:
    """What was written is read again, and counted right."""
    assert decode_meta(encode_meta(META)) == META
    assert META.size_bytes == 13
    assert [file.path for file in META.attachments] == ["a/b"]


def test_pending_comes_back() -> None:
    """With or without attachments."""
    for pending in (PENDING, replace(PENDING, all_attachments=False)):
        assert decode_pending(encode_pending(pending)) == pending


def test_any_flipped_bit_is_found() -> None:
    """Damage anywhere is an error before anything is parsed."""
    data = encode_meta(META)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x04
        with pytest.raises(CorruptionError):
            decode_meta(bytes(damaged))


def test_any_cut_is_found() -> None:
    """Every truncation is an error."""
    data = encode_pending(PENDING)
    for length in range(len(data)):
        with pytest.raises(CorruptionError):
            decode_pending(data[:length])


def test_one_kind_is_not_another() -> None:
    """A pending backup does not pass for a backup."""
    with pytest.raises(CorruptionError, match="pending-backup"):
        decode_meta(encode_pending(PENDING))


def test_a_newer_version_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document of a later version is not damage."""
    monkeypatch.setattr(envelope, "VERSION", 2)
    data = encode_meta(META)
    monkeypatch.undo()
    with pytest.raises(NewerFormatError, match="version 2"):
        decode_meta(data)


@pytest.mark.parametrize("path", ["../x", "/x", "a/./b", "", "a//b", "a\0b"])
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    """A backup cannot be made to write outside the directory it is restored to."""
    file = replace(META.files[0], path=path)
    with pytest.raises(CorruptionError):
        decode_meta(encode_meta(replace(META, files=(file,))))


def test_metadata_has_a_limit() -> None:
    """1 MiB is kept, a byte more is refused."""
    whole = replace(META, metadata=b"x" * (1 << 20))
    assert decode_meta(encode_meta(whole)) == whole
    with pytest.raises(InvalidArgument):
        encode_meta(replace(META, metadata=b"x" * ((1 << 20) + 1)))
