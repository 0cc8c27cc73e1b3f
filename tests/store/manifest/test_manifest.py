"""The manifest's records: what survives, what is told apart, what is refused."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from replicad.env import LocalFileSystem
from replicad.errors import CorruptionError, DiskFullError, NotFoundError
from replicad.store.manifest.edit import Edit, Parent, decode_edit, encode_edit
from replicad.store.manifest.families import DEFAULT_RECORD, FamilyList, FamilyRecord
from replicad.store.manifest.file import (
    HEADER_BYTES,
    ManifestWriter,
    decode_current,
    decode_records,
    encode_current,
    encode_record,
    load,
)
from replicad.store.manifest.state import ManifestState
from replicad.types import (
    DatabaseId,
    Epoch,
    EpochRecord,
    FamilyId,
    FileNumber,
    HistoryHash,
    Position,
    Sequence,
)
from tests.store.compaction.test_picker import table
from tests.support.files.faulty_filesystem import FaultyFileSystem, no_space

FS = LocalFileSystem()
ID = DatabaseId(bytes(range(16)))


def position(sequence: int) -> Position:
    return Position(Epoch(1), Sequence(sequence), HistoryHash(2**64 - sequence))


def full_edit() -> Edit:
    return Edit(
        database_id=ID,
        parent=Parent(database_id=DatabaseId(bytes(16)), fork=position(3)),
        copy=True,
        epochs=(EpochRecord(Epoch(1), b"e" * 16, position(1)),),
        next_file=FileNumber(9),
        flushed=position(10),
        synced=position(12),
        log_start=position(2),
        log_replaced=True,
        owned=position(9),
        commit_time_us=123,
        families=FamilyList(FamilyId(4), (DEFAULT_RECORD, FamilyRecord(FamilyId(3), "naïve", Sequence(8)))),
        add=(table(4, 2, "a", "b"),),
        drop=(FileNumber(3),),
    )


def test_every_field_of_an_edit_comes_back() -> None:
    """Every field of an edit comes back, and an empty edit is empty."""
    assert decode_edit(encode_edit(full_edit())) == full_edit()
    assert decode_edit(encode_edit(Edit())) == Edit()


@pytest.mark.parametrize(
    "change",
    [
        {"database_id": b"short"},
        {"copy": 1},
        {"next_file": -1},
        {"flushed": ["1", 2, 3]},
        {"flushed": [1, 2.0, 3]},
        {"epochs": [[1, b"short", [1, 2, 3]]]},
        {"add": [[4, b"i" * 16, 0, 7, 1, b"s" * 32, b"a", b"b", 1, 1, 1, 0, 1]]},
        {"add": [[4, b"i" * 16, 0, -1, 1, b"s" * 32, b"a", b"b", 1, 1, 1, 0, 1]]},
        {"add": [[4, b"i" * 16, 0, 1, 1, b"s" * 32, b"b", b"a", 1, 1, 1, 0, 1]]},
        {"add": [[4, "i" * 16, 0, 1, 1, b"s" * 32, b"a", b"b", 1, 1, 1, 0, 1]]},
        {"drop": [b"4"]},
        {"families": [[1, "", 1]], "next_family": 2},
        {"families": [[3, "a", 1], [1, "b", 1]], "next_family": 4},
        {"families": [[1, "default", 1]], "next_family": 2},
        {"families": [[1, "a", 1]], "next_family": 1},
    ],
)
def test_a_record_with_the_wrong_kind_of_value_is_corruption(change: dict[str, object]) -> None:
    """A right checksum vouches for nothing: a copy's manifest comes from another node."""
    with pytest.raises(CorruptionError, match="not a manifest edit"):
        decode_edit(msgpack.packb({"database_id": bytes(16), **change}))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa3add\x91\x01", b"\xa3abc"])
def test_bytes_that_are_not_an_edit_are_corruption(data: bytes) -> None:
    """Bytes that are no edit are corruption, not a crash."""
    with pytest.raises(CorruptionError):
        decode_edit(data)


def test_a_record_of_empty_arrays_does_not_unfold() -> None:
    """A megabyte of them would take sixty: it is refused on the way."""
    data = b"\x81\xa3add\xdd" + (1 << 20).to_bytes(4, "big") + b"\x90" * (1 << 20)
    tracemalloc.start()
    with pytest.raises(CorruptionError, match="more arrays and maps"):
        decode_edit(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_tables_have_a_family() -> None:
    """An edit that leaves a table without its family is refused; dropping the table with it is right."""
    orders = FamilyList(FamilyId(4), (DEFAULT_RECORD, FamilyRecord(FamilyId(3), "orders", Sequence(8))))
    theirs = replace(table(4, 0, "a", "b"), family=FamilyId(3))
    with pytest.raises(CorruptionError, match="column families"):
        ManifestState(database_id=ID).apply(Edit(add=(theirs,)))
    state = ManifestState(database_id=ID).apply(Edit(add=(theirs,), families=orders))
    none_left = FamilyList(FamilyId(4), (DEFAULT_RECORD,))
    with pytest.raises(CorruptionError, match="column families"):
        state.apply(Edit(families=none_left))
    assert state.apply(Edit(families=none_left, drop=(FileNumber(4),))).families == none_left


def test_appends_are_read_back(tmp_path: Path) -> None:
    """The state is the sum of the edits, also after the file was started anew."""
    writer = ManifestWriter(FS, tmp_path, ManifestState(database_id=ID))
    writer.append(Edit(add=(table(4, 0, "a", "b"), table(5, 0, "a", "c")), flushed=position(5)))
    writer.append(Edit(drop=(FileNumber(4),), synced=position(8)))
    assert load(FS, tmp_path) == writer.state
    assert [meta.number for meta in writer.state.tables] == [5]
    writer.close(Edit(synced=position(9)))
    assert load(FS, tmp_path).synced == position(9)
    assert len(list(tmp_path.glob("MANIFEST-*"))) == 1


def test_torn_record_is_dropped(tmp_path: Path) -> None:
    """A last record that is cut short is ignored; damage before a valid record is corruption."""
    writer = ManifestWriter(FS, tmp_path, ManifestState(database_id=ID))
    writer.append(Edit(flushed=position(5)))
    first = writer.size_bytes
    writer.append(Edit(flushed=position(6)))
    second = writer.size_bytes
    writer.append(Edit(flushed=position(7)))
    path = writer.path
    writer.abandon()
    content = path.read_bytes()
    for size in range(second + 1, len(content)):
        path.write_bytes(content[:size])
        assert load(FS, tmp_path).flushed == position(6)
    for offset in range(first, second):
        damaged = bytearray(content)
        damaged[offset] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(CorruptionError) as caught:
            load(FS, tmp_path)
        assert (caught.value.path, caught.value.offset) == (path, first)


def test_a_copy_has_no_torn_tail(tmp_path: Path) -> None:
    """It was written in one go: what is no whole record is damage, also behind what CURRENT vouches for."""
    writer = ManifestWriter(FS, tmp_path, ManifestState(database_id=ID))
    path = writer.path
    writer.abandon()
    assert load(FS, tmp_path, of_copy=True) == load(FS, tmp_path)
    path.write_bytes(path.read_bytes() + b"torn")
    load(FS, tmp_path)
    with pytest.raises(CorruptionError, match="cut"):
        load(FS, tmp_path, of_copy=True)


def test_current_carries_its_own_checksum() -> None:
    """CURRENT carries its own checksum."""
    data = encode_current("MANIFEST-000012", 345)
    assert decode_current(data) == ("MANIFEST-000012", 345)
    for offset in range(len(data)):
        damaged = bytearray(data)
        damaged[offset] ^= 1
        with pytest.raises(CorruptionError):
            decode_current(bytes(damaged))


def test_a_directory_without_current_holds_no_database(tmp_path: Path) -> None:
    """A directory without CURRENT holds no database."""
    with pytest.raises(NotFoundError):
        load(FS, tmp_path)


def test_edit_that_does_not_fit() -> None:
    """Dropping what is not there or adding what is there is corruption."""
    state = ManifestState(database_id=ID, tables=(table(1, 0, "a", "b"),))
    with pytest.raises(CorruptionError):
        state.apply(Edit(drop=(FileNumber(2),)))
    with pytest.raises(CorruptionError):
        state.apply(Edit(add=(table(1, 0, "a", "b"),)))
    assert state.apply(Edit(drop=(FileNumber(1),), add=(table(1, 1, "a", "b"),))).tables[0].level == 1


def test_a_record_in_another_place_is_damage() -> None:
    """A whole record of another database, or of another place, has the right bytes."""
    other = DatabaseId(bytes(16))
    header = bytes(HEADER_BYTES)
    for database_id, offset, damage in (
        (ID, HEADER_BYTES, None),
        (ID, HEADER_BYTES + 8, "record checksum"),
        (other, HEADER_BYTES, "record checksum"),
    ):
        record = encode_record(database_id, offset, Edit(flushed=position(5)))
        assert decode_records(header + record, ID)[2] == damage


def test_half_an_edit_is_taken_back(tmp_path: Path) -> None:
    """An edit that found no room leaves nothing of itself: the next one follows the last whole one."""
    fs = FaultyFileSystem()
    writer = ManifestWriter(fs, tmp_path, ManifestState(database_id=ID))
    writer.append(Edit(flushed=position(5)))
    fs.on_append = no_space
    with pytest.raises(DiskFullError):
        writer.append(Edit(flushed=position(6)))
    fs.on_append = None
    assert load(FS, tmp_path).flushed == writer.state.flushed == position(5)
    writer.append(Edit(flushed=position(7)))
    writer.abandon()
    assert load(FS, tmp_path).flushed == position(7)
