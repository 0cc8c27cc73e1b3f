"""The incoming directory: what a hostile list may not do, what is kept, what is verified."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from replicad.env import LocalFileSystem, ReadFile
from replicad.env.local import LocalReadFile
from replicad.errors import CorruptionError, DiskFullError, ProtocolError
from replicad.options import KEY_BYTES_MAX
from replicad.replication.copy.staging import (
    BLOCK_BYTES,
    DIRECTORY,
    FILES_MAX,
    META_BYTES_MAX,
    TABLE_META_BYTES_MAX,
    Staging,
    check_list,
)
from replicad.replication.wire.headers import FileEntry
from replicad.store.manifest.edit import RECORD_BYTES_MAX, Edit, encode_edit
from replicad.store.table.meta import LEVELS, TableMeta
from replicad.types import FamilyId, FileNumber, Sequence
from replicad.units import show_size
from tests.support.files.faulty_filesystem import io_error
from tests.support.files.power_loss import MortalFileSystem

FS = LocalFileSystem()


def entry(name: str, content: bytes) -> FileEntry:
    return FileEntry(name, len(content), hashlib.sha256(content).digest())


A, B, CURRENT = entry("000001.sst", b"aaaa"), entry("000002.sst", b"bbbbbb"), entry("CURRENT", b"c")
LIST = [A, B, CURRENT]
CONTENT = {"000001.sst": b"aaaa", "000002.sst": b"bbbbbb", "CURRENT": b"c"}


def receive(staging: Staging, index: int) -> None:
    file = staging.writer(index)
    for byte in CONTENT[LIST[index].name]:
        file.append(bytes([byte]))
    file.finish()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../000001.sst",
        "/etc/passwd",
        "wal/000001.sst",
        "000001.sst/x",
        "000001.sst\0",
        "000001.sst\n",
        "000001.ss",
        "CURRENT.tmp",
        "LOCK",
        "state",
        "MANIFEST-",
        "MANIFEST-x",
        "٠٠٠٠٠١.sst",
        "000001.sst.part",
        f"000001.sst.{'0' * 64}.part",
    ],
)
def test_names_outside_the_pattern_are_refused(name: str) -> None:
    """No name of a list can point anywhere but into the staging directory."""
    with pytest.raises(ProtocolError, match="not the name of a file"):
        check_list([entry(name, b"x")], 1)


def test_lists_that_do_not_add_up_are_refused() -> None:
    """A name twice, or sizes that are not the announced total, are errors of the peer."""
    check_list(LIST, 11)
    with pytest.raises(ProtocolError, match="twice"):
        check_list([A, A], 8)
    with pytest.raises(ProtocolError, match="announced"):
        check_list(LIST, 12)


def test_lists_that_would_fill_a_directory_or_memory_are_refused() -> None:
    """More files than a copy has, files of no bytes, and a manifest that no memory holds are refused before
    anything is made."""
    many = [FileEntry(f"{number:06}.sst", 1, A.sha256) for number in range(FILES_MAX + 1)]
    check_list(many[1:], FILES_MAX)
    with pytest.raises(ProtocolError, match="the limit is"):
        check_list(many, len(many))
    with pytest.raises(ProtocolError, match="no bytes"):
        check_list([entry("000001.sst", b"")], 0)
    for name in ("MANIFEST-000001", "CURRENT", "OPTIONS-000001.toml"):
        with pytest.raises(ProtocolError, match="the limit is"):
            check_list([FileEntry(name, META_BYTES_MAX + 1, A.sha256)], META_BYTES_MAX + 1)


def test_the_manifest_of_many_tables_with_the_longest_keys_is_taken() -> None:
    """A manifest is as large as its tables make it: of each it holds two keys, and numbers."""
    most = (1 << 64) - 1
    meta = TableMeta(
        number=FileNumber(most),
        table_id=bytes(16),
        family=FamilyId((1 << 32) - 1),
        level=LEVELS - 1,
        size_bytes=most,
        sha256=bytes(32),
        smallest=b"a" * KEY_BYTES_MAX,
        largest=b"b" * KEY_BYTES_MAX,
        first_sequence=Sequence(most),
        last_sequence=Sequence(most),
        entries=most,
        deletions=most,
        raw_bytes=most,
    )
    assert len(encode_edit(Edit(add=(meta,)))) < TABLE_META_BYTES_MAX
    tables = [FileEntry(f"{number:06}.sst", 1, A.sha256) for number in range(5000)]
    largest = RECORD_BYTES_MAX + 5000 * TABLE_META_BYTES_MAX
    check_list([*tables, FileEntry("MANIFEST-000001", largest, A.sha256)], largest + 5000)
    with pytest.raises(ProtocolError, match="the limit is"):
        check_list([*tables, FileEntry("CURRENT", largest, A.sha256)], largest + 5000)


def test_small_files_count_as_the_blocks_that_they_take(tmp_path: Path) -> None:
    """A list of very many small files does not fit a disk that has room for their bytes only."""
    staging = Staging(FS, tmp_path, LIST)
    FS.make_directories(staging.path)
    free = FS.free_bytes(staging.path)
    many = [FileEntry(f"{number:06}.sst", 1, A.sha256) for number in range(1000)]
    with pytest.raises(DiskFullError, match=f"needs {show_size(1000 * BLOCK_BYTES)} more"):
        Staging(FS, tmp_path, many).prepare({}, free - 2000)


def test_what_is_complete_is_kept_and_the_rest_removed(tmp_path: Path) -> None:
    """A second attempt finds verified files and beginnings, and neither foreign nor damaged ones."""
    staging = Staging(FS, tmp_path, LIST)
    assert staging.prepare({}, 0) == {0: 0, 1: 0, 2: 0}
    receive(staging, 0)
    receive(staging, 2)
    staging.writer(1).append(b"bb")
    (staging.path / "foreign").write_bytes(b"x")
    (staging.path / "CURRENT").write_bytes(b"d")
    again = Staging(FS, tmp_path, LIST)
    assert again.prepare({}, 0) == {1: 2, 2: 0}
    part = f"000002.sst.{B.sha256.hex()}.part"
    assert sorted(path.name for path in again.path.iterdir()) == ["000001.sst", part]
    file = again.writer(1)
    assert file.offset == 2
    file.append(b"bbbb")
    file.finish()
    assert file.finished
    receive(again, 2)
    again.finish()
    assert {path.name: path.read_bytes() for path in again.path.iterdir()} == CONTENT


def test_a_part_that_is_whole_or_wrong(tmp_path: Path) -> None:
    """Killed before its name: it gets it. Of another content: it goes, and is fetched from its beginning."""
    staging = Staging(FS, tmp_path, LIST)
    staging.prepare({}, 0)
    staging.writer(0).append(b"aaaa")
    staging.writer(1).append(b"xxxxxx")
    (staging.path / f"000001.sst.{'0' * 64}.part").write_bytes(b"of another copy")
    again = Staging(FS, tmp_path, LIST)
    assert again.prepare({}, 0) == {1: 0, 2: 0}
    assert [path.name for path in again.path.iterdir()] == ["000001.sst"]


class BadFile(LocalReadFile):
    def read(self, offset: int, length: int, /) -> bytes:
        io_error(self.path)
        raise AssertionError


class BadSectors(LocalFileSystem):
    """Files whose names begin so cannot be read."""

    def __init__(self, beginning: str) -> None:
        self._beginning = beginning

    def open(self, path: Path) -> ReadFile:
        return BadFile(path) if path.name.startswith(self._beginning) else super().open(path)


def test_what_cannot_be_read_begins_anew(tmp_path: Path) -> None:
    """A bad sector under a file that was complete, or under all bytes of one but its name, costs that file;
    under a beginning it costs this attempt as well."""
    staging = Staging(FS, tmp_path, LIST)
    staging.prepare({}, 0)
    receive(staging, 0)
    staging.writer(1).append(b"bbb")
    staging.writer(2).append(b"c")
    bad = BadSectors("0000")
    again = Staging(bad, tmp_path, LIST)
    assert again.prepare({}, 0) == {0: 0, 1: 3}
    with pytest.raises(CorruptionError, match="Input/output error"):
        again.writer(1)
    assert Staging(BadSectors("CURRENT"), tmp_path, LIST).prepare({}, 0) == {0: 0, 1: 0, 2: 0}
    last = Staging(bad, tmp_path, LIST)
    last.prepare({}, 0)
    for index in range(len(LIST)):
        receive(last, index)
    last.finish()
    (tmp_path / DIRECTORY / "CURRENT").rename(tmp_path / DIRECTORY / f"CURRENT.{CURRENT.sha256.hex()}.part")
    assert Staging(BadSectors("CURRENT"), tmp_path, LIST).prepare({}, 0) == {2: 0}


def test_a_file_of_another_content_is_refused(tmp_path: Path) -> None:
    """Wrong bytes are CorruptionError with both digests, too many a ProtocolError; neither leaves a name."""
    staging = Staging(FS, tmp_path, LIST)
    staging.prepare({}, 0)
    file = staging.writer(0)
    file.append(b"aaax")
    with pytest.raises(CorruptionError, match="SHA-256") as raised:
        file.finish()
    assert (raised.value.expected, raised.value.got) == (A.sha256.hex(), hashlib.sha256(b"aaax").hexdigest())
    file = staging.writer(0)
    with pytest.raises(ProtocolError, match="longer"):
        file.append(b"aaaaa")
    assert not (staging.path / A.name).exists()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """A link that waits where a file will be is removed, and what it points to stays as it is."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    staging = Staging(FS, tmp_path, LIST)
    staging.prepare({}, 0)
    (staging.path / f"{A.name}.{A.sha256.hex()}.part").symlink_to(victim)
    receive(staging, 0)
    assert victim.read_bytes() == b"precious"
    assert (staging.path / A.name).read_bytes() == b"aaaa"
    assert not (staging.path / A.name).is_symlink()


def test_local_files_are_linked_when_they_are_what_they_should_be(tmp_path: Path) -> None:
    """A local file with the SHA-256 is linked after it was read and verified; a rotten one is fetched."""
    good, rotten = tmp_path / "good", tmp_path / "rotten"
    good.write_bytes(b"aaaa")
    rotten.write_bytes(b"bbbbbX")
    staging = Staging(FS, tmp_path, LIST)
    local = {A.sha256: good, B.sha256: rotten, CURRENT.sha256: tmp_path / "gone"}
    assert staging.prepare(local, 0) == {1: 0, 2: 0}
    assert (staging.path / A.name).samefile(good)
    assert rotten.read_bytes() == b"bbbbbX"


def test_a_copy_that_does_not_fit_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    """The missing bytes and the reserve must be free."""
    huge = FileEntry("000003.sst", 1 << 60, b"h" * 32)
    with pytest.raises(DiskFullError, match=r"1048576\.0 TiB"):
        Staging(FS, tmp_path, [huge]).prepare({}, 0)
    with pytest.raises(DiskFullError, match="reserve"):
        Staging(FS, tmp_path, LIST).prepare({}, 1 << 60)


def test_what_is_staged_survives_a_loss_of_power(tmp_path: Path) -> None:
    """A finished staging directory is durable, names and content, before anybody is told."""
    fs = MortalFileSystem()
    staging = Staging(fs, tmp_path, LIST)
    staging.prepare({}, 0)
    for index in range(len(LIST)):
        receive(staging, index)
    staging.finish()
    left = fs.left_by_power_loss(tmp_path, tmp_path / "left") / DIRECTORY
    assert {path.name: path.read_bytes() for path in left.iterdir()} == CONTENT
