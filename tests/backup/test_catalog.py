"""The catalog says what the metas say, whatever happened to it."""

from __future__ import annotations

import errno
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replicad
from replicad import BackupEngine, BackupMeta, CorruptionError, Database
from replicad.backup.catalog import ReadMeta, decode_catalog, encode_catalog, infos, merged
from replicad.backup.fsspec_target import FsspecTarget
from replicad.backup.meta import BackupFile, encode_meta
from replicad.backup.names import BackupId, meta_name
from replicad.env import Env, LocalFileSystem, ReadFile
from tests.backup.test_meta import META
from tests.support.backups.watched import WatchedTarget
from tests.support.stores.small import fill


def meta_of(id: int, tables: set[int]) -> BackupMeta:
    """A backup of these tables, with two private files."""
    shared = [
        BackupFile(
            path=f"{number:06d}.sst",
            name=f"shared_checksum/{number:06d}_{number:016x}_{number + 1}.sst",
            size_bytes=number + 1,
            sha256=bytes(32),
            kind="shared",
        )
        for number in sorted(tables)
    ]
    private = [
        BackupFile(path=name, name=f"private/{id}/{name}", size_bytes=7, sha256=bytes(32), kind="private")
        for name in ("CURRENT", "MANIFEST-000001")
    ]
    return replace(META, id=BackupId(id), files=(*shared, *private))


def own_bytes(metas: list[BackupMeta]) -> list[int]:
    """Counted the plain way."""
    users = Counter(name for meta in metas for name in meta.names)
    return [sum(file.size_bytes for file in meta.files if users[file.name] == 1) for meta in metas]


@given(
    st.lists(st.sets(st.integers(0, 8)), max_size=8),
    st.sets(st.integers(1, 8)),
    st.sets(st.integers(1, 8)),
)
def test_merging_is_counting_anew(tables: list[set[int]], in_old: set[int], alive: set[int]) -> None:
    """However much of a catalog is missing or stale, the result tells what the metas tell."""
    metas = {BackupId(id): meta_of(id, numbers) for id, numbers in enumerate(tables, start=1)}
    sized = {id: ReadMeta(meta, 100, bytes(32)) for id, meta in metas.items()}
    old = merged((), [id for id in metas if id in in_old], {id: sized[id] for id in sized if id in in_old})
    there = [id for id in metas if id in alive]
    catalog = merged(old, there, {id: sized[id] for id in there if id not in in_old})
    assert catalog == merged((), there, sized | {})
    assert decode_catalog(encode_catalog(catalog)) == catalog
    found = infos(catalog)
    assert [info.id for info in found] == there
    assert [info.own_bytes for info in found] == own_bytes([metas[id] for id in there])
    assert [info.size_bytes for info in found] == [metas[id].size_bytes for id in there]


def test_a_lost_damaged_or_stale_catalog(database: Database, engine: BackupEngine) -> None:
    """It is made again of the metas, and nobody notices."""
    stale = b""
    for start in range(3):
        fill(database, 100, start=8000 + 100 * start)
        engine.create_backup(database, flush_before_backup=True)
        stale = stale or engine.target.read("meta/catalog.json")
    expected = engine.get_backup_info()
    whole = engine.target.read("meta/catalog.json")
    for content in (b"", b"{}", whole[:-9], whole.replace(b"backups", b"backupz"), stale):
        engine.target.write("meta/catalog.json", [content])
        assert engine.get_backup_info() == expected
    engine.target.delete(["meta/catalog.json"])
    assert engine.get_backup_info() == expected
    engine.delete_backup(2)
    engine.target.write("meta/catalog.json", [whole])
    assert [info.id for info in engine.get_backup_info()] == [1, 3]


def test_a_thousand_backups_open_with_two_requests() -> None:
    """One listing and one read, each backup with what is its own."""
    target = WatchedTarget(FsspecTarget(f"memory://{uuid.uuid4().hex}"))
    metas = [meta_of(id, set(range(id, id + 100))) for id in range(1, 1001)]
    for meta in metas:
        target.write(meta_name(meta.id), [encode_meta(meta)])
    engine = BackupEngine(target)
    first = engine.get_backup_info()
    assert target.requests["read"] == 1000
    assert [info.own_bytes for info in first] == own_bytes(metas)
    engine.garbage_collect()
    target.requests.clear()
    assert BackupEngine(target).get_backup_info() == first
    assert target.requests == {"list": 1, "read": 1}


def test_one_request_more_for_each_that_is_new(tmp_path: Path, database: Database) -> None:
    """A backup that another program published is read, and nothing else."""
    target = WatchedTarget(FsspecTarget(f"memory://{uuid.uuid4().hex}"))
    engine = BackupEngine(target)
    engine.create_backup(database)
    target.write(meta_name(BackupId(2)), [encode_meta(meta_of(2, {1}))])
    target.requests.clear()
    assert [info.id for info in engine.get_backup_info()] == [1, 2]
    assert target.requests == {"list": 1, "read": 2}
    assert isinstance(engine.get_latest_backup_info(), replicad.BackupInfo)


NEWEST_IS = ["a flipped byte", "cut short", "empty", "another backup's", "unreadable"]


@pytest.mark.parametrize("damage", NEWEST_IS)
@pytest.mark.parametrize("kind", ["directory", "memory"])
def test_a_damaged_meta_is_not_hidden_by_the_catalog(
    database: Database, tmp_path: Path, damage: str, kind: str
) -> None:
    """It is told as damaged, and the latest is the newest that can be read, at every kind of target."""
    fs = BadSector()
    where = tmp_path / "target" if kind == "directory" else f"memory://{uuid.uuid4().hex}"
    if damage == "unreadable" and kind == "memory":
        pytest.skip("a disk's error")
    engine = BackupEngine(where, env=Env(fs=fs))
    for number in range(3):
        database.put(b"n", b"%d" % number)
        engine.create_backup(database)
    whole = engine.target.read("meta/3.json")
    middle = len(whole) // 2
    contents = {
        "a flipped byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "cut short": whole[:middle],
        "empty": b"",
        "another backup's": engine.target.read("meta/2.json").ljust(len(whole)),
        "unreadable": whole,
    }
    engine.target.write("meta/3.json", [contents[damage]])
    if damage == "unreadable":
        fs.bad = "3.json"
    fresh = BackupEngine(engine.target, env=Env(fs=fs))
    assert list(fresh.get_corrupted_backups()) == [3]
    latest = fresh.get_latest_backup_info()
    assert latest is not None and latest.id == 2
    assert fresh.restore_latest_backup(tmp_path / "new").id == 2
    assert fresh.restore_to(tmp_path / "other", sequence=latest.position.sequence).id == 2
    with pytest.raises((CorruptionError, OSError)):
        fresh.delete_backup(1)  # Nobody knows what the damaged one needs, and it is newer.
    if damage == "unreadable":
        with pytest.raises(OSError, match="Input/output"):
            fresh.get_backup_info()
    else:
        found = [info.id for info in fresh.get_backup_info()]
        assert found == [1, 2] or (kind == "memory" and found == [1, 2, 3])


def test_a_removal_waits_for_a_disk_that_fails(database: Database, tmp_path: Path) -> None:
    """A meta that the disk did not give back once may be whole: nothing is removed that counts on it."""
    fs = BadSector()
    engine = BackupEngine(tmp_path / "target", env=Env(fs=fs))
    for _ in range(3):
        engine.create_backup(database)
    fs.bad = "1.json"
    with pytest.raises(OSError, match="Input/output"):
        engine.purge_old_backups(1)
    with pytest.raises(OSError, match="Input/output"):
        engine.purge_log(keep_backups=1)
    fs.bad = None
    assert [info.id for info in engine.get_backup_info()] == [1, 2, 3]


class BadSector(LocalFileSystem):
    bad: str | None = None

    def open(self, path: Path) -> ReadFile:
        if path.name == self.bad:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return super().open(path)
