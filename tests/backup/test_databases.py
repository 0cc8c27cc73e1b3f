"""Databases that share a target: each is counted, purged and restored for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, InvalidArgument, NotFoundError
from replicad.backup.archive.archiver import LogArchiver
from replicad.backup.databases import (
    Present,
    backups_to_drop,
    check_replaces,
    choose_database,
    find_database,
    short_names,
)
from replicad.backup.info import BackupInfo
from replicad.backup.names import BackupId
from replicad.store.database import open_database
from replicad.types import DatabaseId
from tests.backup.test_meta import META
from tests.support.stores.small import fill, small_options

A, B, C = (DatabaseId(bytes([number]) * 16) for number in (0xA0, 0xB0, 0xC0))


@pytest.mark.parametrize(
    ("there", "present", "wanted", "answer"),
    [
        ({A}, None, None, A),
        ({A, B}, Present(B), None, B),
        ({A, B}, Present(C, parent=A), None, A),
        ({A, B, C}, Present(C, parent=A), None, C),
        ({A, B}, None, "b0", B),
        ({A, B}, None, B, B),
        ({A, B}, Present(A), "B0B0", B),
        (set(), None, None, NotFoundError),
        (set(), Present(A), None, NotFoundError),
        ({A, B}, None, None, InvalidArgument),
        ({A}, Present(B), None, NotFoundError),
        ({A, B}, None, "c0", NotFoundError),
        ({A, B}, None, "", InvalidArgument),
        ({A, B}, None, "x", InvalidArgument),
        ({A, DatabaseId(A[:15] + b"x")}, None, "a0a0", InvalidArgument),
    ],
)
def test_which_database_is_meant(
    there: set[DatabaseId], present: Present | None, wanted: str | bytes | None, answer: object
) -> None:
    """The one that is named; else that of the destination, or what it is a copy of; else the only one."""
    if isinstance(answer, type):
        with pytest.raises(answer):
            choose_database(there, present, wanted)
    else:
        assert choose_database(there, present, wanted) == answer


def test_names_tell_databases_apart() -> None:
    """The name that is shown finds its database, however alike the ids are."""
    alike = {A, B, DatabaseId(A[:10] + b"xxxxxx")}
    for id, name in short_names(alike).items():
        assert len(name) >= 8 and find_database(alike, name) == id


def test_over_which_database_one_is_restored() -> None:
    """Over itself, and over a copy of it that was written."""
    for present in (None, Present(A), Present(B, parent=A)):
        check_replaces(present, A)
    with pytest.raises(InvalidArgument, match="another directory"):
        check_replaces(Present(A, parent=C), B)


def info_of(id: int, database: DatabaseId) -> BackupInfo:
    return BackupInfo(
        id=BackupId(id),
        database_id=database,
        position=META.position,
        commit_time_us=0,
        created_us=0,
        size_bytes=0,
        own_bytes=0,
        file_count=0,
        attachment_count=0,
        copied_bytes=0,
        copied_files=0,
        metadata=b"",
    )


@pytest.mark.parametrize(
    ("of", "damaged", "keep", "database", "drop"),
    [
        ("AAABB", [], 2, None, {1}),
        ("AAABBBB", [], 2, None, {1, 4, 5}),
        ("AAABBBB", [], 2, B, {4, 5}),
        ("AAABBBB", [], 0, A, {1, 2, 3}),
        ("AAB", [], 0, None, {1, 2, 3}),
        ("AAB", [9], 0, None, {1, 2, 3, 9}),
        ("ABB?B", [4], 2, B, {2}),
        ("?AAAB", [1], 2, None, {1, 2}),
        ("AA?AB", [3], 2, None, {1}),
        ("?AB", [1], 2, None, set()),
    ],
)
def test_what_a_purge_keeps_it_keeps_of_each(
    of: str, damaged: list[int], keep: int, database: DatabaseId | None, drop: set[int]
) -> None:
    """What cannot be read belongs to nobody known, and goes only when it is older than all that stay."""
    by_letter = {"A": A, "B": B}
    infos = [info_of(id, by_letter[letter]) for id, letter in enumerate(of, start=1) if letter != "?"]
    assert backups_to_drop(infos, [BackupId(id) for id in damaged], keep, database) == drop


@pytest.fixture
def shared(tmp_path: Path) -> BackupEngine:
    """Three backups of database a, then two of b, with the log of both."""
    engine = BackupEngine(tmp_path / "backups")
    for name, count in (("a", 3), ("b", 2)):
        with open_database(tmp_path / name, small_options()) as database:
            for number in range(count):
                fill(database, 20, start=100 * number, value=name.encode())
                engine.create_backup(database)
            database.put(b"after", b"it")
            database.wait_durable(database.appended_sequence, 30)
            archiver = LogArchiver(engine.target, database)
            while archiver.step():
                pass
            archiver.close()
    return engine


def id_of(directory: Path) -> bytes:
    with replicad.open(directory, read_only=True) as database:
        return database.database_id


def test_a_restore_is_of_the_database_that_is_there(shared: BackupEngine, tmp_path: Path) -> None:
    """The latest of all is of another one; over a third nothing is restored, and nothing is lost there."""
    a, b = id_of(tmp_path / "a"), id_of(tmp_path / "b")
    assert shared.restore_latest_backup(tmp_path / "a").id == 3
    assert shared.restore_to(tmp_path / "a", sequence=45).id == 2
    assert id_of(tmp_path / "a") == a
    for id in (4, 5):
        with pytest.raises(InvalidArgument, match="another directory"):
            shared.restore_backup(id, tmp_path / "a")
    for wanted in (b, b.hex()[:9]):
        with pytest.raises(InvalidArgument, match="another directory"):
            shared.restore_latest_backup(tmp_path / "a", database_id=wanted)
        with pytest.raises(InvalidArgument, match="another directory"):
            shared.restore_to(tmp_path / "a", sequence=20, database_id=wanted, dry_run=True)


def test_a_damaged_database_is_known_by_its_log(shared: BackupEngine, tmp_path: Path) -> None:
    """Its manifest may be what is damaged; another database is not restored over it either."""
    (tmp_path / "a" / "CURRENT").write_bytes(b"damaged")
    with pytest.raises(InvalidArgument, match="another directory"):
        shared.restore_backup(5, tmp_path / "a")
    assert shared.restore_latest_backup(tmp_path / "a").id == 3


def test_a_new_directory_wants_a_name(shared: BackupEngine, tmp_path: Path) -> None:
    """Where several databases share the target, somebody says which."""
    a, b = id_of(tmp_path / "a"), id_of(tmp_path / "b")
    with pytest.raises(InvalidArgument, match=b.hex()):
        shared.restore_latest_backup(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert shared.restore_latest_backup(tmp_path / "new", database_id=a.hex()[:8]).id == 3
    # Written, it is a database of its own; what it is a copy of may be restored over it, and no other.
    with replicad.open(tmp_path / "new") as database:
        database.put(b"own", b"way")
    assert shared.restore_latest_backup(tmp_path / "new").id == 3
    with pytest.raises(InvalidArgument):
        shared.restore_backup(5, tmp_path / "new")


def test_each_database_keeps_its_own(shared: BackupEngine, tmp_path: Path) -> None:
    """A purge of one leaves the others, backups and log; a purge of all keeps as many of each."""
    a, b = id_of(tmp_path / "a"), id_of(tmp_path / "b")
    log_of_a = shared.target.list(f"log/{a.hex()}/")
    assert shared.purge_old_backups(1, database_id=b).backups == (4,)
    assert shared.purge_log(keep_backups=1, database_id=b) >= 0
    assert shared.target.list(f"log/{a.hex()}/") == log_of_a
    assert shared.purge_old_backups(5, database_id=bytes(16)).backups == ()
    assert shared.purge_old_backups(2).backups == (1,)
    assert [info.id for info in shared.get_backup_info()] == [2, 3, 5]
    latest = shared.get_latest_backup_info(a)
    assert latest is not None and latest.id == 3
    assert shared.verify_backups(checksums=True).ok


def test_the_log_of_a_database_goes_when_its_backups_are_gone(shared: BackupEngine, tmp_path: Path) -> None:
    """Not while it has some, and that of others never."""
    a, b = id_of(tmp_path / "a"), id_of(tmp_path / "b")
    log_of_b = shared.target.list(f"log/{b.hex()}/")
    with pytest.raises(InvalidArgument, match="has backups, which its log belongs to"):
        shared.delete_log(a)
    shared.purge_old_backups(0, database_id=a)
    assert shared.delete_log(a.hex()[:8]) > 0
    assert shared.target.list(f"log/{a.hex()}/") == {}
    assert shared.target.list(f"log/{b.hex()}/") == log_of_b
    with pytest.raises(NotFoundError, match="no archived log of database"):
        shared.delete_log(a)


def test_the_log_stays_while_a_backup_cannot_be_read(shared: BackupEngine, tmp_path: Path) -> None:
    """It may be one of that database: it has to be named and deleted first."""
    a = id_of(tmp_path / "a")
    shared.delete_backups([2, 3])
    shared.target.write(min(shared.target.list("meta/")), [b"what nobody can read"])
    with pytest.raises(InvalidArgument, match=r"cannot be read .* delete them first: 1"):
        shared.delete_log(a)
    shared.delete_backups([1])
    assert shared.delete_log(a) > 0
