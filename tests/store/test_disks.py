"""Full disks, several disks, and directories that another life of the node left behind."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad.env import Env, LocalFileSystem
from replicad.errors import DiskFullError
from replicad.store.copies.checkpoint import install
from replicad.store.database import Database, open_database
from tests.support.files.faulty_filesystem import FaultyFileSystem, no_space
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


class TwoDisks(FaultyFileSystem):
    """`wal` and everything else are on different file systems."""

    def link(self, source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        super().link(source, target)


def test_a_log_on_a_disk_of_its_own_is_archived(tmp_path: Path) -> None:
    """Segments are copied to the archive where they cannot be linked, and readers follow."""
    options = small_options(wal_dir=tmp_path / "log")
    with open_database(tmp_path / "db", options, env=Env(fs=TwoDisks())) as database:
        fill(database, 800)
        database.flush()
        eventually(lambda: database.failed is not None or any((tmp_path / "db" / "archive").glob("*.log")))
        assert database.failed is None
        assert [update.first_sequence for update in database.get_updates_since(1)] == list(range(1, 801))
    assert not list((tmp_path / "db" / "archive").glob("*.tmp"))


def test_a_stale_file_in_the_archive_is_replaced(tmp_path: Path) -> None:
    """What a crash left half copied in the archive never stands in for the segment."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        archive = tmp_path / "db" / "archive"
        archive.mkdir()
        (archive / "0000000001-00000000000000000001.log").write_bytes(b"half")
        fill(database, 800)
        database.flush()
        eventually(lambda: database.get_sorted_wal_files()[0].archived)
        assert next(database.get_updates_since(1)).first_sequence == 1


def test_a_creation_cut_short_is_begun_again(tmp_path: Path) -> None:
    """A kill between the first manifest and CURRENT leaves a directory that opens all the same."""
    fs = FaultyFileSystem()

    def killed(path: Path) -> None:
        if path.name == "CURRENT.tmp":
            raise KeyboardInterrupt

    fs.on_append = killed
    with pytest.raises(KeyboardInterrupt):
        open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    assert (tmp_path / "db" / "MANIFEST-000001").exists()
    with replicad.open(tmp_path / "db", small_options()) as database:
        database.put(b"a", b"1")
    (tmp_path / "db" / "CURRENT").unlink()
    with pytest.raises(replicad.CorruptionError):
        replicad.open(tmp_path / "db", small_options())


def test_no_room_to_make_a_copy_a_database(tmp_path: Path) -> None:
    """Its new identity needs room: opening says so, changes nothing and keeps no lock."""
    with replicad.open(tmp_path / "original", small_options()) as database:
        database.put(b"a", b"1")
        database.create_checkpoint(tmp_path / "db")
    fs = FaultyFileSystem()
    fs.on_append = no_space
    with pytest.raises(replicad.DiskFullError):
        open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    with replicad.open(tmp_path / "db", small_options()) as database:
        assert database.get(b"a") == b"1"


def test_no_room_to_close(tmp_path: Path) -> None:
    """Closing on a full disk lets go of the directory; what was synced is there at the next opening."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    database.put(b"a", b"1")
    fs.on_append = no_space
    database.close()
    with replicad.open(tmp_path / "db", small_options()) as again:
        assert again.get(b"a") == b"1"


def test_no_room_for_the_manifest_heals(tmp_path: Path) -> None:
    """An edit that finds no room is tried again; the store goes on when there is room."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    refused: list[Path] = []

    def no_edits(path: Path) -> None:
        if path.name.startswith("MANIFEST-") and not refused:
            refused.append(path)
            no_space(path)

    fill(database, 100)
    fs.on_append = no_edits
    with pytest.raises(DiskFullError):
        database.flush()
    database.flush()
    assert refused and database.failed is None
    assert len(list((tmp_path / "db").glob("*.sst"))) == database.stats()["tables"] > 0
    database.close()
    with replicad.open(tmp_path / "db", small_options()) as again:
        assert sum(1 for _ in again.scan()) == 100


def test_a_full_disk_refuses_writes_that_would_stall(tmp_path: Path) -> None:
    """While flush waits for room, a write is refused and does not wait; with room again it goes through."""
    fs = FaultyFileSystem()

    def no_tables(path: Path) -> None:
        if path.suffix == ".sst":
            no_space(path)

    with open_database(tmp_path / "db", small_options(), env=Env(fs=fs)) as database:
        fs.on_append = no_tables
        with pytest.raises(DiskFullError, match="memtables wait to be flushed, and the disk is full"):
            fill(database, 5000)
        for write in refused_writes(database):
            with pytest.raises(DiskFullError):
                write()
        acknowledged = database.latest_sequence
        assert database.get(b"key-000000") is not None
        fs.on_append = None
        eventually(lambda: database.stats()["stalled"] is None)
        assert database.put(b"later", b"") == acknowledged + 1
        database.flush()


def refused_writes(database: Database) -> list[Callable[[], object]]:
    batch = replicad.WriteBatch()
    batch.put(b"a", b"")
    return [
        lambda: database.put(b"a", b""),
        lambda: database.delete(b"a"),
        lambda: database.write(batch),
        lambda: database.submit(batch),
        lambda: database.submit_put(b"a", b""),
        lambda: database.submit_many([batch]),
        lambda: database.create_family("more"),
    ]


def test_a_flush_without_room_refuses_nothing_yet(tmp_path: Path) -> None:
    """While there is room in memtables, a write neither waits nor is refused."""
    fs = FaultyFileSystem()

    def no_tables(path: Path) -> None:
        if path.suffix == ".sst":
            no_space(path)

    options = small_options(memtables_max=3)
    with open_database(tmp_path / "db", options, env=Env(fs=fs)) as database:
        fs.on_append = no_tables
        fill(database, 600)
        eventually(lambda: "flush" in database._writer().core.no_room)
        assert len(database._core.version.sealed) == 1
        assert database.stalled is None
        database.put(b"more", b"")
        fs.on_append = None
        database.flush()
        eventually(lambda: not database._writer().core.no_room)


class Gauge(FaultyFileSystem):
    """Says that so much is free."""

    free = 1 << 40
    free_in: dict[str, int] | None = None
    """By the last name of a path, where it is another disk."""

    def free_bytes(self, path: Path) -> int:
        return (self.free_in or {}).get(path.name, self.free)


def test_room_is_kept_in_reserve(tmp_path: Path) -> None:
    """Below the reserve writes are refused, reads and flushes go on; above it again so do writes."""
    fs = Gauge()
    options = small_options(disk_reserve_bytes=1000)
    with open_database(tmp_path / "db", options, env=Env(fs=fs)) as database:
        database.put(b"a", b"1")
        fs.free = 999
        database.flush()
        eventually(lambda: database.refused is not None)
        for write in refused_writes(database):
            with pytest.raises(DiskFullError, match="999 B are free, and disk_reserve_bytes keeps 1000 B"):
                write()
        assert database.get(b"a") == b"1" and database.stats()["refused"] == database.stalled
        database.create_checkpoint(tmp_path / "copy", flush=True)
        fs.free = 1000
        eventually(lambda: database.refused is None and database.stalled is None)
        assert database.put(b"a", b"2") == 2
    with open_database(tmp_path / "db", small_options(disk_reserve_bytes=0), env=Env(fs=fs)) as database:
        fs.free = 0
        database.put(b"a", b"3")
        database.flush()
        database.put(b"a", b"4")


def test_room_is_kept_where_the_log_is(tmp_path: Path) -> None:
    """It may have a disk of its own."""
    fs = Gauge()
    options = small_options(disk_reserve_bytes=1000, wal_dir=tmp_path / "log")
    with open_database(tmp_path / "db", options, env=Env(fs=fs)) as database:
        database.put(b"a", b"1")
        fs.free_in = {"log": 999}
        database.flush()
        eventually(lambda: database.refused is not None)
        assert str(tmp_path / "log") in str(database.refused)
        fs.free_in = None
        eventually(lambda: database.refused is None)


def test_an_installed_copy_forgets_the_log_it_replaces(tmp_path: Path) -> None:
    """A node that was ahead of the copy it is given does not replay its old log on top of it."""
    with replicad.open(tmp_path / "primary", small_options()) as primary:
        fill(primary, 300)
        primary.create_checkpoint(tmp_path / "shipped", flush=True)
        primary.create_checkpoint(tmp_path / "replica", flush=True)
        fill(primary, 100, start=300)
        primary.wait_durable(400)
        with open_database(tmp_path / "replica", small_options(), role="replica") as replica:
            cursor = primary.read_log(301)
            while (chunk := cursor.next()) is not None:
                replica.apply_frames(chunk.frames)
            assert replica.position.sequence == 400
            cursor.close()
    install(Env(), tmp_path / "shipped", tmp_path / "replica")
    with open_database(tmp_path / "replica", small_options(), role="replica") as replica:
        assert replica.position.sequence == 300


def test_a_reader_of_what_is_not_written_yet_waits_for_it(tmp_path: Path) -> None:
    """A reader that asks for a later sequence number gets that one first, not what comes before it."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 3)
        database.wait_durable(3)
        updates = database.get_updates_since(6)
        assert next(updates, None) is None
        fill(database, 2, start=3)
        database.wait_durable(5)
        assert next(updates, None) is None
        fill(database, 2, start=5)
        database.wait_durable(7)
        assert [update.first_sequence for update in updates] == [6, 7]


def test_a_copy_cannot_open_with_its_originals_log(tmp_path: Path) -> None:
    """Two databases never share a log directory: the second one is refused and touches nothing."""
    options = small_options(wal_dir=tmp_path / "log")
    with replicad.open(tmp_path / "db", options) as database:
        fill(database, 50)
        database.create_checkpoint(tmp_path / "copy")
        with pytest.raises(replicad.LockedError):
            replicad.open(tmp_path / "copy", options)
        fill(database, 50, start=50)
        with replicad.open(tmp_path / "copy", small_options()) as copy:
            assert copy.latest_sequence == 50
    with replicad.open(tmp_path / "db", options) as again:
        assert again.latest_sequence == 100


def test_a_segment_keeps_its_name_until_the_archive_is_durable(tmp_path: Path) -> None:
    """At every moment one of its two names is on the medium."""
    calls: list[str] = []

    class Recorded(LocalFileSystem):
        def sync_directory(self, path: Path) -> None:
            super().sync_directory(path)
            calls.append(f"sync {path.name}")

        def unlink(self, path: Path) -> None:
            super().unlink(path)
            if path.parent.name == "wal" and path.suffix == ".log":
                calls.append("unlink")

        def rename(self, source: Path, target: Path) -> None:
            super().rename(source, target)
            if target.parent.name == "archive":
                calls.append("rename")

    options = small_options(segment_bytes=4096)
    with open_database(tmp_path / "db", options, env=Env(fs=Recorded())) as database:
        fill(database, 300)
        database.flush()
        eventually(lambda: any(file.archived for file in database.get_sorted_wal_files()))
    gone = [at for at, call in enumerate(calls) if call == "unlink" and "rename" in calls[:at]]
    assert gone
    for at in gone:
        renamed = max(before for before in range(at) if calls[before] == "rename")
        assert "sync archive" in calls[renamed:at]
