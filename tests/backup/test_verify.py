"""Verification finds what is missing, cut or changed, and names every backup that it breaks."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, Database
from replicad.backup import verify
from replicad.backup.progress import Progress
from tests.support.stores.small import fill


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(verify).failed == 0


@pytest.fixture
def three(database: Database, engine: BackupEngine) -> BackupEngine:
    """Three backups; the second and third have a table that the first has not."""
    engine.create_backup(database, flush_before_backup=True)
    fill(database, 50, start=9000)
    database.compact()
    engine.create_backup(database, flush_before_backup=True)
    engine.create_backup(database, flush_before_backup=True)
    return BackupEngine(engine.target)


def path_of(engine: BackupEngine, name: str) -> Path:
    return Path(engine.target.url) / name


def names_of(engine: BackupEngine, *ids: int) -> set[str]:
    """Files that these backups have, and no others."""
    everybody = {info.id: engine.get_backup(info.id).names for info in engine.get_backup_info()}
    return {
        name
        for name in set().union(*everybody.values())
        if {id for id, names in everybody.items() if name in names} == set(ids)
    }


def test_whole_backups_verify_and_shared_files_count_once(three: BackupEngine) -> None:
    """Nothing is wrong, and shared files are counted once."""
    seen: list[Progress] = []
    found = three.verify_backups(checksums=True, progress=seen.append)
    assert found.ok and found.problems == () and found.broken == ()
    assert found.backups == (1, 2, 3)
    files = {name: size for name, size in three.target.list("").items() if not name.startswith("meta/")}
    assert (found.files, found.bytes) == (len(files), sum(files.values()))
    assert seen[-1].bytes_done == seen[-1].bytes_total == found.bytes
    found.raise_if_damaged()


@pytest.mark.parametrize("which", range(5))
def test_any_file_cut_short(three: BackupEngine, which: int) -> None:
    """Sizes tell after reopening, without a byte of content being read."""
    name = sorted(names_of(three, 1) | names_of(three, 1, 2, 3))[which]
    path = path_of(three, name)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    problem = BackupEngine(three.target).verify_backup(1).problems[0]
    assert (problem.name, problem.expected, problem.got) == (name, size, size - 1)


def test_a_missing_file_breaks_its_backup_and_no_other(three: BackupEngine) -> None:
    """It breaks its backup, and no other."""
    name = sorted(names_of(three, 2))[0]
    path_of(three, name).unlink()
    assert three.verify_backup(1).ok
    found = three.verify_backup(2)
    assert [(problem.name, problem.got) for problem in found.problems] == [(name, None)]
    assert found.broken == (2,)
    with pytest.raises(replicad.CorruptionError, match="breaks backup 2 "):
        found.raise_if_damaged()


def test_changed_content_needs_checksums(three: BackupEngine) -> None:
    """A flipped bit is found when bytes are read; all backups that share the table are named."""
    name = sorted(names_of(three, 2, 3))[0]
    path = path_of(three, name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    assert three.verify_backups().ok
    assert three.verify_backup(1, checksums=True).ok
    found = three.verify_backup(3, checksums=True)
    assert found.backups == (3,)
    assert [(problem.name, problem.backups) for problem in found.problems] == [(name, (2, 3))]


def test_a_damaged_meta_is_a_problem_of_its_backup(three: BackupEngine) -> None:
    """It is a problem of its backup; the others are listed, verified and purged as before."""
    path = path_of(three, "meta/2.json")
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    found = three.verify_backups()
    assert [(problem.name, problem.backups) for problem in found.problems] == [("meta/2.json", (2,))]
    path_of(three, "meta/catalog.json").unlink()
    assert [info.id for info in three.get_backup_info()] == [1, 3]
    assert list(three.get_corrupted_backups()) == [2]
    with pytest.raises(replicad.CorruptionError) as caught:
        three.delete_backup(1)
    assert "backup delete" in str(caught.value.__notes__)
    assert [info.id for info in three.get_backup_info()] == [1, 3]
    three.delete_backup(2)
    three.delete_backup(1)
    assert three.verify_backups(checksums=True).ok


def test_the_report_is_for_machines(three: BackupEngine) -> None:
    """It goes through JSON with everything in it."""
    path_of(three, sorted(names_of(three, 2, 3))[0]).unlink()
    report = json.loads(json.dumps(three.verify_backups().as_dict()))
    assert report["ok"] is False
    assert report["broken"] == [2, 3]
    assert report["problems"][0]["reason"] == "the file is missing"


def test_an_unknown_backup_is_not_taken_for_a_whole_one(three: BackupEngine) -> None:
    """It is not taken for a whole one."""
    with pytest.raises(replicad.NotFoundError):
        three.verify_backup(9)
