"""Checkpoints and installed copies: exact, independent, and of the right identity."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

import replicad
from replicad.env import Env, LocalFileSystem
from replicad.store.copies.checkpoint import install, list_files
from replicad.store.database import open_database
from replicad.store.manifest.edit import Parent
from replicad.store.manifest.file import load
from tests.support.files.memory_filesystem import MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.stores.small import fill, small_options


def test_opens_beside_the_original(tmp_path: Path) -> None:
    """A checkpoint opens for writing while the original runs, at its exact position; either goes on."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 700)
        position = database.create_checkpoint(tmp_path / "copy").position
        digest = database.digest()
        assert position == database.position
        fill(database, 100, start=700)
        with replicad.open(tmp_path / "copy", small_options()) as copy:
            assert copy.digest() == digest
            assert copy.position == position
            assert copy.database_id != database.database_id
            copy.put(b"own", b"1")
            assert database.get(b"own") is None
        with replicad.open(tmp_path / "copy", small_options()) as copy:
            assert copy.get(b"own") == b"1"
            assert [u.first_sequence for u in copy.get_updates_since(701)] == [701]
            with pytest.raises(replicad.LogGoneError):
                copy.get_updates_since(700)
        assert sum(1 for _ in database.scan()) == 800


def test_existing_path_is_refused(tmp_path: Path) -> None:
    """A checkpoint never writes into something that is there."""
    with replicad.open(tmp_path / "db") as database:
        (tmp_path / "taken").mkdir()
        with pytest.raises(replicad.InvalidArgument, match="taken"):
            database.create_checkpoint(tmp_path / "taken")


def test_checkpoints_under_load_are_exact_prefixes(tmp_path: Path) -> None:
    """Checkpoints taken under load are each the exact prefix that their position names."""
    stop = threading.Event()
    with replicad.open(tmp_path / "db", small_options()) as database:

        def write() -> None:
            number = 0
            while not stop.is_set():
                batch = replicad.WriteBatch()
                batch.put(b"a", b"%d" % number)
                batch.put(b"b", b"%d" % number)
                batch.put(b"c-%d" % number, b"x" * 50)
                database.write(batch)
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            positions = []
            for turn in range(6):
                database.wait_durable(database.appended_sequence + 600, 20)
                made = database.create_checkpoint(tmp_path / f"copy-{turn}", flush=turn % 2 == 0)
                positions.append(made.position)
        finally:
            stop.set()
            writer.join()
    for turn, position in enumerate(positions):
        with replicad.open(tmp_path / f"copy-{turn}", small_options(), read_only=True) as copy:
            assert copy.position == position
            number = position.sequence // 3 - 1
            assert copy.get(b"a") == copy.get(b"b") == b"%d" % number
            assert sum(1 for _ in copy.scan(prefix=b"c-")) == number + 1


def test_where_no_link_is_possible_files_are_copied(tmp_path: Path) -> None:
    """Where no hard link is possible the files are copied."""

    class NoLinks(LocalFileSystem):
        def link(self, source: Path, target: Path) -> None:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

    with open_database(tmp_path / "db", small_options(), env=Env(fs=NoLinks())) as database:
        fill(database, 200)
        made = database.create_checkpoint(tmp_path / "copy")
        assert made.linked == 0 and made.copied > 0
        digest = database.digest()
    with replicad.open(tmp_path / "copy", read_only=True) as copy:
        assert copy.digest() == digest


def test_copying_instead_of_linking(tmp_path: Path) -> None:
    """With `copy` a checkpoint shares no file with the original, and the result says so."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 700)
        database.compact()
        linked = database.create_checkpoint(tmp_path / "linked", flush=True)
        copied = database.create_checkpoint(tmp_path / "copied", flush=True, copy=True)
        assert linked.path == tmp_path / "linked" and linked.linked > 0 and linked.copied == 0
        assert copied.copied == linked.linked and copied.linked == 0
        assert all(file.stat().st_nlink == 1 for file in (tmp_path / "copied").rglob("*") if file.is_file())
        with replicad.open(tmp_path / "copied", read_only=True) as copy:
            assert copy.digest() == database.digest()


def test_cut_keeps_its_files(tmp_path: Path) -> None:
    """While a cut is open its tables keep their names through compactions, and its snapshot its contents."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 500)
        with database.cut(flush=True) as cut:
            names = [meta.name for meta in cut.tables]
            before = list(cut.snapshot.scan())
            fill(database, 500, value=b"other")
            database.compact()
            assert all((tmp_path / "db" / name).exists() for name in names)
            assert list(cut.snapshot.scan()) == before
        assert not any((tmp_path / "db" / name).exists() for name in names)


def test_replica_copy_keeps_identity(tmp_path: Path) -> None:
    """A copy opened as a replica keeps its database id and takes the primary's next frames."""
    with replicad.open(tmp_path / "db", small_options()) as primary:
        fill(primary, 300)
        primary.create_checkpoint(tmp_path / "copy", flush=True)
        fill(primary, 300, start=300)
        primary.wait_durable(600)
        with open_database(tmp_path / "copy", small_options(), role="replica") as replica:
            assert replica.database_id == primary.database_id
            cursor = primary.read_log(replica.position.sequence + 1)
            while (chunk := cursor.next(4096)) is not None:
                replica.apply_frames(chunk.frames)
            assert replica.position == primary.position
            assert replica.digest() == primary.digest()
            with pytest.raises(replicad.ReadOnlyError):
                replica.put(b"a", b"")


def test_replica_refuses_gaps_and_other_histories(tmp_path: Path) -> None:
    """Frames that do not follow are refused, and nothing of them is kept."""
    from replicad.errors import DivergedError, GapError

    with replicad.open(tmp_path / "db", small_options()) as primary:
        primary.put(b"a", b"1")
        primary.create_checkpoint(tmp_path / "copy", flush=True)
        primary.create_checkpoint(tmp_path / "other", flush=True)
        primary.put(b"b", b"2")
        primary.put(b"c", b"3")
        primary.wait_durable(3)
        with open_database(tmp_path / "copy", small_options(), role="replica") as replica:
            third = primary.read_log(3).next()
            assert third is not None
            with pytest.raises(GapError):
                replica.apply_frames(third.frames)
            second = primary.read_log(2).next(1)
            assert second is not None
            damaged = bytearray(second.frames)
            damaged[-1] ^= 1
            with pytest.raises((replicad.CorruptionError, DivergedError)):
                replica.apply_frames(bytes(damaged))
            assert replica.position.sequence == 1
            assert replica.apply_frames(second.frames).sequence == 3


def test_base_copy_says_what_its_tables_hold(tmp_path: Path) -> None:
    """A copy without log opens at the position that was returned, whatever is written meanwhile."""
    stop = threading.Event()
    with replicad.open(tmp_path / "db", small_options()) as database:

        def write() -> None:
            while not stop.is_set():
                database.put(b"k", b"v")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            positions = [database.create_base_copy(tmp_path / f"copy-{turn}") for turn in range(5)]
        finally:
            stop.set()
            writer.join()
        for turn, position in enumerate(positions):
            assert not list((tmp_path / f"copy-{turn}" / "wal").iterdir())
            with replicad.open(tmp_path / f"copy-{turn}", small_options(), read_only=True) as copy:
                assert copy.position == position


def test_install_replaces_data(tmp_path: Path) -> None:
    """An installed copy replaces the old data whole, and leaves no file of it."""
    env = Env()
    with replicad.open(tmp_path / "primary", small_options()) as primary:
        fill(primary, 400)
        primary.create_checkpoint(tmp_path / "shipped", flush=True)
        digest, database_id = primary.digest(), primary.database_id
    files = list_files(env.fs, tmp_path / "shipped")
    assert files[-1].name == "CURRENT" and any(file.name.endswith(".sst") for file in files)
    with replicad.open(tmp_path / "replica", small_options()) as old:
        fill(old, 250, value=b"old")
        old.flush()
    install(env, tmp_path / "shipped", tmp_path / "replica")
    assert not (tmp_path / "shipped").exists()
    with open_database(tmp_path / "replica", small_options(), role="replica") as replica:
        assert replica.digest() == digest
        assert replica.database_id == database_id
    known = len(list((tmp_path / "replica").glob("*.sst")))
    assert known == len([file for file in files if file.name.endswith(".sst")])


def test_a_cut_waits_until_its_position_is_durable() -> None:
    """Also under "async": what is copied never holds what the log could lose."""
    runner = InlineRunner()
    env = inline_env(MemoryFileSystem(), runner)
    database = open_database(Path("/db"), small_options(durability="async"), env=env)
    batch = replicad.WriteBatch()
    batch.put(b"a", b"1")
    database.submit(batch)
    assert database.durable_sequence == 0
    with database.cut() as cut:
        assert database.durable_sequence == cut.position.sequence == 1
    database.close()


def test_a_copy_that_is_written_says_of_what_it_was_one(tmp_path: Path) -> None:
    """Its manifest has the other database, and where it left it; none of that one's log is there any more."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 20)
        fork = database.create_checkpoint(tmp_path / "copy").position
    for number in range(2):
        with replicad.open(tmp_path / "copy", small_options()) as copy:
            assert copy.notes == []
            copy.put(b"own-%d" % number, b"")
        parent = load(Env().fs, tmp_path / "copy").parent
        assert parent == Parent(database_id=database.database_id, fork=fork)
    assert [int(path.name[11:31]) for path in sorted((tmp_path / "copy" / "wal").glob("*.log"))] == [21, 22]


@pytest.mark.parametrize("place", ["db/copy", "link/copy", "other/../db/copy", "deep/copy", "wal/copy"])
def test_never_within_the_database_by_any_name(tmp_path: Path, place: str) -> None:
    """Not through a link or "..", and not in the directory of its log."""
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "db")
    (tmp_path / "deep").symlink_to(tmp_path / "db" / "archive")
    with replicad.open(tmp_path / "db", replicad.Options(wal_dir=tmp_path / "wal")) as database:
        database.put(b"k", b"v")
        with pytest.raises(replicad.InvalidArgument, match="within the database"):
            database.create_checkpoint(tmp_path / place)
