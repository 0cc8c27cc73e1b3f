"""Live files, file deletions and the list of segments: what copies file by file rely on."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import replicad
from replicad.store.database import open_database
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


def copy_of(db: replicad.Database, live: replicad.LiveFiles, target: Path) -> Path:
    """What the promise of `LiveFiles` allows to copy, and no more."""
    (target / "wal").mkdir(parents=True)
    for file in live.files:
        data = (db.path / file.name).read_bytes()[: file.size_bytes]
        assert hashlib.sha256(data).digest() == file.sha256
        (target / file.name).write_bytes(data)
    for log in live.log:
        (target / "wal" / log.path.name).write_bytes(log.path.read_bytes()[: log.size_bytes])
    return target


@pytest.fixture
def db(tmp_path: Path) -> Iterator[replicad.Database]:
    with replicad.open(tmp_path / "db", small_options()) as database:
        yield database


@pytest.mark.parametrize("flush", [True, False])
def test_a_copy_opens_at_the_position(db: replicad.Database, tmp_path: Path, flush: bool) -> None:
    """The files listed, cut to the lengths listed, are the database at the position."""
    fill(db, 700)
    db.disable_file_deletions()
    live = db.get_live_files(flush=flush)
    assert live.position == db.position
    assert bool(live.log) is not flush
    assert (live.manifest, live.manifest_bytes) == (live.files[-2].name, live.files[-2].size_bytes)
    assert live.files[-1].name == "CURRENT"
    digest = db.digest()
    fill(db, 100, value=b"later")
    target = copy_of(db, live, tmp_path / "copy")
    with open_database(target, small_options(), role="replica") as copy:
        assert copy.position == live.position
        assert copy.digest() == digest


def test_options_stay_while_deletions_are_disabled(db: replicad.Database) -> None:
    """A family with options of its own makes a new options file; the listed one goes when it may."""
    db.disable_file_deletions()
    live = db.get_live_files()
    for name in ("one", "two"):
        db.create_family(name, replicad.FamilyOptions(block_bytes=2048))
    assert [file.name for file in live.files if not (db.path / file.name).exists()] == []
    assert db.enable_file_deletions()
    assert [path.name for path in db.path.glob("OPTIONS-*")] == ["OPTIONS-000003.toml"]


def test_nothing_is_held(db: replicad.Database) -> None:
    """Without disabled deletions the files may go as soon as the call has returned."""
    fill(db, 700)
    live = db.get_live_files()
    assert db.stats()["leases"] == [] and db.stats()["snapshots"] == 0
    fill(db, 700, value=b"other")
    db.compact()
    assert not all((db.path / file.name).exists() for file in live.files)


def test_copies_beside_a_writer_are_whole_prefixes(db: replicad.Database, tmp_path: Path) -> None:
    """With deletions disabled every copy made beside a busy writer is a whole prefix."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            batch = replicad.WriteBatch()
            batch.put(b"count", b"%d" % number)
            batch.put(b"n-%06d" % number, b"x" * 100)
            db.write(batch)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    copies = []
    try:
        for turn in range(4):
            db.wait_durable(db.appended_sequence + 1000, 20)
            db.disable_file_deletions()
            live = db.get_live_files(flush=turn % 2 == 0)
            db.wait_durable(db.appended_sequence + 1000, 20)
            copies.append((live, copy_of(db, live, tmp_path / f"copy-{turn}")))
            db.enable_file_deletions()
    finally:
        stop.set()
        writer.join()
    for live, path in copies:
        with open_database(path, small_options(), role="replica") as copy:
            assert copy.position == live.position
            assert copy.get(b"count") == b"%d" % (live.position.sequence // 2 - 1)
            assert sum(1 for _ in copy.scan(prefix=b"n-")) == live.position.sequence // 2


def test_disabled_deletions_hold_every_name(tmp_path: Path) -> None:
    """No table goes and no segment moves while deletions are disabled; afterwards what was held back goes."""
    with replicad.open(tmp_path / "db", small_options(log_retention_bytes=0)) as db:
        fill(db, 700)
        db.flush()
        db.disable_file_deletions()
        before = {path.relative_to(db.path) for path in db.path.rglob("*")}
        fill(db, 1500, value=b"other")
        db.compact()
        assert before <= {path.relative_to(db.path) for path in db.path.rglob("*")}
        assert db.stats()["file_deletions_disabled"] == 1
        assert db.enable_file_deletions()
        tables = {path.name for path in db.path.glob("*.sst")}
        assert len(tables) == db.stats()["tables"]
        eventually(lambda: db.stats()["log"]["segments"] <= 2)


def test_disabling_is_counted(db: replicad.Database) -> None:
    """Deletions begin again after as many enables as disables, or one by force; one too many is fine."""
    db.disable_file_deletions()
    db.disable_file_deletions()
    assert not db.enable_file_deletions()
    assert db.enable_file_deletions()
    assert db.enable_file_deletions()
    db.disable_file_deletions()
    db.disable_file_deletions()
    assert db.enable_file_deletions(force=True)
    assert db.stats()["file_deletions_disabled"] == 0


def test_close_with_deletions_disabled(tmp_path: Path) -> None:
    """A close leaves what was held back to the next opening, which removes it."""
    with replicad.open(tmp_path / "db", small_options()) as db:
        fill(db, 700)
        db.flush()
        db.disable_file_deletions()
        fill(db, 700, value=b"other")
        db.compact()
        digest, tables = db.digest(), db.stats()["tables"]
    assert len(list((tmp_path / "db").glob("*.sst"))) > tables
    with replicad.open(tmp_path / "db", small_options()) as db:
        assert db.digest() == digest
        assert len(list(db.path.glob("MANIFEST-*"))) == 1
        assert len(list(db.path.glob("*.sst"))) == db.stats()["tables"]


def test_disabling_waits_for_removals_under_way(tmp_path: Path) -> None:
    """`disable` returns only after a removal that had begun; none begins after it."""
    from replicad.env import LocalFileSystem
    from replicad.store.holds.deletions import Deletions

    reached, go = threading.Event(), threading.Event()

    class Slow(LocalFileSystem):
        def unlink(self, path: Path) -> None:
            reached.set()
            assert go.wait(20)
            super().unlink(path)

    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"")
    deletions = Deletions(Slow())
    removing = threading.Thread(target=deletions.remove, args=([tmp_path / "one"],))
    removing.start()
    assert reached.wait(20)
    disabling = threading.Thread(target=deletions.disable)
    disabling.start()
    eventually(lambda: deletions.disabled == 1)
    assert disabling.is_alive()
    go.set()
    disabling.join()
    removing.join()
    deletions.remove([tmp_path / "two"])
    assert not (tmp_path / "one").exists() and (tmp_path / "two").exists()
    assert deletions.enable()
    assert not (tmp_path / "two").exists()


def test_segments_listed_while_they_move(tmp_path: Path) -> None:
    """Every list of segments taken beside a writer is a chain without a gap, and all its paths were true."""
    with replicad.open(tmp_path / "db", small_options(memtable_bytes=64 * 1024)) as db:
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                fill(db, 50, start=number)
                number += 50

        writer = threading.Thread(target=write)
        writer.start()
        try:
            archived = 0
            while archived < 4:
                files = db.get_sorted_wal_files()
                for file, following in pairwise(files):
                    durable = following.last_sequence >= following.first_sequence
                    assert file.last_sequence + 1 == following.first_sequence or not durable
                    assert file.archived or not following.archived
                archived = sum(file.archived for file in files)
        finally:
            stop.set()
            writer.join()
        db.disable_file_deletions()
        for file in db.get_sorted_wal_files():
            assert file.path.stat().st_size >= file.size_bytes


def test_read_only_has_no_live_files(tmp_path: Path) -> None:
    """A database opened for reading owns no files: it can neither list nor hold them."""
    with replicad.open(tmp_path / "db") as db:
        db.put(b"a", b"1")
    shutil.copytree(tmp_path / "db", tmp_path / "other")
    with replicad.open(tmp_path / "other", read_only=True) as db:
        for use in (db.get_live_files, db.disable_file_deletions, db.enable_file_deletions, db.cut):
            with pytest.raises(replicad.ReadOnlyError):
                use()
