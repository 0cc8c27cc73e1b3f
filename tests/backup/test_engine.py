"""Making backups, telling of them, and removing them."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, BackupEngineOptions, Database
from replicad.backup.progress import Progress
from tests.support.backups.watched import brought_back, orphans
from tests.support.stores.small import fill, small_options


def files(engine: BackupEngine, prefix: str = "") -> dict[str, int]:
    return engine.target.list(prefix)


def content(engine: BackupEngine, id: int, directory: Path) -> tuple[replicad.Position, int, str]:
    """Position and digest of what a backup holds."""
    with replicad.open(brought_back(engine, id, directory), small_options(), read_only=True) as copy:
        return copy.position, *copy.digest()


def test_a_backup_is_the_state_of_its_cut(database: Database, engine: BackupEngine, tmp_path: Path) -> None:
    """Log included, at exactly the position that the backup names."""
    info = engine.create_backup(database, metadata=b"monday")
    before = database.digest()
    database.put(b"later", b"x")
    position, *digest = content(engine, info.id, tmp_path / "back")
    assert tuple(digest) == before
    assert position == info.position
    assert info.position.sequence == 1600
    assert engine.get_backup_info() == [info]
    assert info.metadata == b"monday"
    meta = engine.get_backup(info.id)
    assert meta.epochs == database.epochs
    assert meta.database_id == info.database_id == database.database_id
    assert meta.commit_time_us == info.commit_time_us > 0
    assert any(file.path.startswith("wal/") for file in meta.files)
    assert info.size_bytes == sum(
        size for name, size in files(engine).items() if not name.startswith("meta/")
    )


def test_flush_before_backup_brings_no_log(database: Database, engine: BackupEngine, tmp_path: Path) -> None:
    """Everything is in tables, and the position is the same."""
    info = engine.create_backup(database, flush_before_backup=True)
    assert not [name for name in files(engine) if "/wal/" in name]
    meta = engine.get_backup(info.id)
    assert meta.flushed == meta.position == info.position
    assert content(engine, info.id, tmp_path / "back")[1:] == database.digest()


def test_a_copy_of_the_node_keeps_its_identity(
    database: Database, engine: BackupEngine, tmp_path: Path
) -> None:
    """What comes back is marked as a copy: for writing it becomes a database of its own, with its parent."""
    id = engine.create_backup(database).id
    with replicad.open(brought_back(engine, id, tmp_path / "back"), small_options()) as copy:
        assert copy.database_id != database.database_id
        assert copy.digest()[1] == database.digest()[1]


def test_the_second_backup_copies_what_is_new(database: Database, engine: BackupEngine) -> None:
    """Tables that are there are named again and not written again."""
    first = engine.create_backup(database, flush_before_backup=True)
    shared = files(engine, "shared_checksum/")
    second = engine.create_backup(database, flush_before_backup=True)
    assert second.id == first.id + 1
    assert files(engine, "shared_checksum/") == shared
    assert second.copied_files == 3
    assert second.copied_bytes == second.own_bytes < first.size_bytes / 10
    assert set(shared) == {file.name for file in engine.get_backup(second.id).files if file.kind == "shared"}


def test_tables_of_their_own(database: Database, tmp_path: Path) -> None:
    """Without sharing every backup has all its files, and deleting one leaves the other whole."""
    engine = BackupEngine(tmp_path / "backups", BackupEngineOptions(share_table_files=False))
    for _ in range(2):
        info = engine.create_backup(database)
        assert info.own_bytes == info.size_bytes == info.copied_bytes
    assert files(engine, "shared_checksum/") == {}
    engine.delete_backup(1)
    assert engine.verify_backup(2, checksums=True).ok
    assert content(engine, 2, tmp_path / "back")[1:] == database.digest()


def test_two_databases_share_a_target(database: Database, engine: BackupEngine, tmp_path: Path) -> None:
    """Tables of one number and other content do not meet."""
    with replicad.open(tmp_path / "other", small_options()) as other:
        fill(other, 1500, value=b"w" * 100)
        other.flush()
        engine.create_backup(database)
        engine.create_backup(other)
        assert content(engine, 1, tmp_path / "one")[1:] == database.digest()
        assert content(engine, 2, tmp_path / "two")[1:] == other.digest()
        assert [info.database_id for info in engine.get_backup_info()] == [
            database.database_id,
            other.database_id,
        ]


def test_a_line_that_was_restored_shares_its_tables(
    database: Database, engine: BackupEngine, tmp_path: Path
) -> None:
    """A backup is brought back and written on; later backups of both lines stay whole."""
    for start in (2000, 2200, 2400):
        engine.create_backup(database)
        fill(database, 200, start=start)
    with replicad.open(brought_back(engine, 2, tmp_path / "two"), small_options()) as line:
        fill(line, 900, start=5000)
        line.compact()
        engine.create_backup(line)
        engine.create_backup(database)
        assert content(engine, 4, tmp_path / "four")[1:] == line.digest()
        assert content(engine, 5, tmp_path / "five")[1:] == database.digest()
    assert engine.verify_backups(checksums=True).ok


def test_a_cut_is_backed_up_as_it_was_taken(database: Database, engine: BackupEngine, tmp_path: Path) -> None:
    """The caller holds a snapshot of the very state, which stays open."""
    with database.cut() as cut:
        fill(database, 500, start=3000)
        info = engine.create_backup(cut)
        assert info.position == cut.position
        expected = cut.snapshot.digest()
    assert content(engine, info.id, tmp_path / "back")[2] == expected


def test_a_cut_whose_lease_ended_makes_no_backup(database: Database, engine: BackupEngine) -> None:
    """ClosedError says why, and nothing is left."""
    cut = database.cut(bytes_max=0)
    fill(database, 2000)
    database.compact()
    with pytest.raises(replicad.ClosedError):
        engine.create_backup(cut)
    assert engine.get_backup_info() == [] and not orphans(engine)


def test_a_checkpoint_is_backed_up(database: Database, engine: BackupEngine, tmp_path: Path) -> None:
    """Its directory is left as it is, and its tables are the original's."""
    engine.create_backup(database)
    shared = files(engine, "shared_checksum/")
    checkpoint = database.create_checkpoint(tmp_path / "checkpoint")
    before = sorted(path.name for path in checkpoint.path.rglob("*"))
    info = engine.create_backup(checkpoint.path)
    assert sorted(path.name for path in checkpoint.path.rglob("*")) == before
    assert info.position == checkpoint.position
    assert files(engine, "shared_checksum/") == shared
    assert content(engine, info.id, tmp_path / "back")[1:] == database.digest()


def test_a_directory_that_is_no_copy_is_refused(engine: BackupEngine, tmp_path: Path) -> None:
    """Its owner may be writing it."""
    replicad.open(tmp_path / "plain", small_options()).close()
    with pytest.raises(replicad.InvalidArgument, match="not a copy"):
        engine.create_backup(tmp_path / "plain")
    with pytest.raises(replicad.NotFoundError):
        engine.create_backup(tmp_path / "nothing")
    with pytest.raises(replicad.InvalidArgument, match="flush_before_backup"):
        engine.create_backup(tmp_path / "plain", flush_before_backup=True)


def test_ids_always_increase(database: Database, engine: BackupEngine) -> None:
    """Also past those that were deleted, in another engine."""
    for _ in range(3):
        engine.create_backup(database)
    engine.purge_old_backups(0)
    assert engine.get_backup_info() == []
    assert BackupEngine(engine.target).create_backup(database).id == 4


def test_purging_keeps_the_newest(database: Database, engine: BackupEngine) -> None:
    """The others go, and what only they had."""
    for start in range(5):
        fill(database, 200, start=5000 + 200 * start)
        engine.create_backup(database)
    assert engine.purge_old_backups(9).backups == ()
    collected = engine.purge_old_backups(2)
    assert collected.backups == (1, 2, 3)
    assert [info.id for info in engine.get_backup_info()] == [4, 5]
    named = set().union(*(engine.get_backup(id).names for id in (4, 5)))
    assert {name for name in files(engine) if not name.startswith("meta/")} == named
    assert engine.verify_backups(checksums=True).ok


def test_deleting_one_frees_what_only_it_has(database: Database, engine: BackupEngine) -> None:
    """As many bytes as its info said, and the neighbours stay whole."""
    for start in range(3):
        engine.create_backup(database)
        fill(database, 400, start=5000 + 400 * start)
        database.compact()
    before = sum(size for name, size in files(engine).items() if not name.startswith("meta/"))
    own = engine.get_backup_info()[1].own_bytes
    assert engine.delete_backup(2).bytes == own > 0
    after = sum(size for name, size in files(engine).items() if not name.startswith("meta/"))
    assert before - after == own
    assert [info.id for info in engine.get_backup_info()] == [1, 3]
    assert engine.verify_backups(checksums=True).ok
    with pytest.raises(replicad.NotFoundError):
        engine.delete_backup(2)


def test_destroy_old_data_leaves_no_backup_and_ids_go_on(database: Database, engine: BackupEngine) -> None:
    """Opening with it leaves no backup and no file; ids go on."""
    engine.create_backup(database)
    fresh = BackupEngine(engine.target, BackupEngineOptions(destroy_old_data=True))
    assert fresh.get_backup_info() == []
    assert {name for name in files(fresh) if not name.startswith("meta/")} == set()
    assert fresh.create_backup(database).id == 2


def test_stopping_leaves_the_engine_usable(database: Database, engine: BackupEngine) -> None:
    """The stopped backup is none, and the next one uses what it copied."""
    seen: list[Progress] = []

    def stop_soon(progress: Progress) -> None:
        seen.append(progress)
        if progress.files_done == 3:
            engine.stop_backup()

    with database.cut() as cut:
        with pytest.raises(replicad.StoppedError):
            engine.create_backup(cut, progress=stop_soon)
        assert engine.get_backup_info() == []
        left = {name: size for name, size in files(engine).items() if name != "meta/last-1"}
        assert left and all(name.startswith("shared_checksum/") for name in left)
        info = engine.create_backup(cut)
    assert engine.verify_backup(info.id, checksums=True).ok
    assert info.copied_bytes == info.size_bytes - sum(left.values())


def test_stopping_from_another_thread(database: Database, engine: BackupEngine) -> None:
    """Also while it waits for its rate."""
    engine.write_limit.bytes_per_second = 1
    failures: list[BaseException] = []
    begun = threading.Event()

    def back_up() -> None:
        begun.set()
        try:
            engine.create_backup(database)
        except replicad.StoppedError as error:
            failures.append(error)

    thread = threading.Thread(target=back_up)
    thread.start()
    begun.wait(10)
    while thread.is_alive():
        engine.stop_backup()
        thread.join(0.01)
    assert len(failures) == 1
    engine.write_limit.bytes_per_second = None
    engine.create_backup(database)
    assert len(engine.get_backup_info()) == 1


def test_progress_adds_up(database: Database, engine: BackupEngine) -> None:
    """The last call tells of everything, and nothing is told twice at once."""
    seen: list[Progress] = []
    info = engine.create_backup(database, progress=seen.append)
    assert seen[-1].bytes_done == seen[-1].bytes_total == info.copied_bytes
    assert seen[-1].files_done == seen[-1].files_total == info.copied_files
    assert [progress.bytes_done for progress in seen] == sorted(progress.bytes_done for progress in seen)
    assert all(progress.bytes_per_second >= 0 for progress in seen)


def test_what_a_callback_raises_ends_the_backup(database: Database, engine: BackupEngine) -> None:
    """And comes out of `create_backup` as it was raised."""

    def refuse(progress: Progress) -> None:
        raise RuntimeError("not now")

    with pytest.raises(RuntimeError, match="not now"):
        engine.create_backup(database, progress=refuse)
    assert engine.get_backup_info() == []


def test_a_damaged_source_is_named(database: Database, engine: BackupEngine) -> None:
    """A table that is not what was written ends the backup, and its path is told."""
    table = sorted(database.path.glob("*.sst"))[0]
    data = bytearray(table.read_bytes())
    data[100] ^= 1
    table.write_bytes(data)
    with pytest.raises(replicad.CorruptionError, match="the source is damaged") as caught:
        engine.create_backup(database)
    assert caught.value.path == table
    assert caught.value.expected != caught.value.got == hashlib.sha256(data).hexdigest()
    assert engine.get_backup_info() == []


def test_a_damaged_target_is_named(database: Database, engine: BackupEngine) -> None:
    """A table that lost its end at the target ends the next backup, until the file is removed."""
    engine.create_backup(database)
    name = sorted(files(engine, "shared_checksum/"))[0]
    path = Path(engine.target.url) / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(replicad.CorruptionError, match="the target is damaged") as caught:
        engine.create_backup(database)
    assert caught.value.path == path
    assert engine.verify_backup(1).problems[0].name == name
    path.unlink()
    again = engine.create_backup(database)
    assert engine.verify_backup(again.id, checksums=True).ok
    assert engine.verify_backups(checksums=True).broken == (1,)


def test_metadata_has_a_limit(database: Database, engine: BackupEngine) -> None:
    """1 MiB is kept as it is; more is refused before anything is copied."""
    whole = bytes(range(256)) * 4096
    assert engine.create_backup(database, metadata=whole).metadata == whole
    with pytest.raises(replicad.InvalidArgument, match="metadata"):
        engine.create_backup(database, metadata=whole + b"x")


def test_a_closed_engine_says_so(database: Database, engine: BackupEngine) -> None:
    """Every call raises ClosedError after `close`."""
    engine.close()
    with pytest.raises(replicad.ClosedError):
        engine.create_backup(database)
    with pytest.raises(replicad.ClosedError):
        engine.get_backup_info()


@pytest.mark.parametrize("url", ["memory", "file"])
def test_a_target_behind_a_url_does_the_same(database: Database, tmp_path: Path, url: str) -> None:
    """The same at a target that fsspec opens."""
    where = f"memory://{tmp_path.name}" if url == "memory" else f"file://{tmp_path}/remote"
    with BackupEngine(where) as engine:
        engine.create_backup(database)
        fill(database, 300, start=5000)
        engine.create_backup(database)
        assert engine.verify_backups(checksums=True).ok
        assert content(engine, 2, tmp_path / "back")[1:] == database.digest()
        engine.purge_old_backups(1)
        assert engine.verify_backups(checksums=True).backups == (2,)
        named = engine.get_backup(2).names
        assert {name for name in files(engine) if not name.startswith("meta/")} == named
