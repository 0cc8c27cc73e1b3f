"""What a restore builds out of files that are whole, each by itself: they must fit each other as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine
from replicad.backup.meta import BackupMeta
from replicad.backup.restore.swap import build
from replicad.env import Env
from replicad.errors import CorruptionError
from replicad.types import DatabaseId, Position, Sequence
from tests.support.backups.watched import brought_back
from tests.support.stores.small import fill, small_options


@pytest.fixture
def backup(tmp_path: Path) -> tuple[BackupMeta, Path]:
    """A backup with tables and log, and its files as they were fetched and verified."""
    with replicad.open(tmp_path / "db", small_options()) as database, BackupEngine(tmp_path / "b") as engine:
        fill(database, 300)
        database.flush()
        fill(database, 20, start=300)
        info = engine.create_backup(database)
        return engine.get_backup(info.id), brought_back(engine, info.id, tmp_path / "files")


def staged(meta: BackupMeta, directory: Path) -> dict[str, Path]:
    return {file.path: directory / file.path for file in meta.database_files}


def other(position: Position) -> Position:
    return replace(position, sequence=Sequence(position.sequence - 1))


def without_a_table(meta: BackupMeta) -> BackupMeta:
    (gone, *_) = (file for file in meta.files if file.path.endswith(".sst"))
    return replace(meta, files=tuple(file for file in meta.files if file is not gone))


def with_another_table(meta: BackupMeta) -> BackupMeta:
    files = [replace(f, sha256=bytes(32)) if f.path.endswith(".sst") else f for f in meta.files]
    return replace(meta, files=tuple(files))


def test_what_fits_is_built(backup: tuple[BackupMeta, Path], tmp_path: Path) -> None:
    """Tables at the backup's position, without log."""
    meta, files = backup
    assert build(Env(), staged(meta, files), tmp_path / "built", meta, ()) == meta.position
    with replicad.open(tmp_path / "built", read_only=True) as built:
        assert sum(1 for _ in built.scan()) == 320


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_a_table, "a table that is not in the backup"),
        (with_another_table, "a table that is not in the backup"),
        (lambda meta: replace(meta, database_id=DatabaseId(bytes(16))), "not the one of this backup"),
        (lambda meta: replace(meta, flushed=other(meta.flushed)), "not the one of this backup"),
        (lambda meta: replace(meta, position=other(meta.position)), "the log of the backup ends elsewhere"),
    ],
)
def test_what_does_not_fit_is_refused(
    backup: tuple[BackupMeta, Path], tmp_path: Path, change: object, words: str
) -> None:
    """A manifest of another backup, a table that the list lacks, log that ends elsewhere than it says."""
    meta, files = backup
    assert callable(change)
    with pytest.raises(CorruptionError, match=words):
        build(Env(), staged(meta, files), tmp_path / "built", change(meta), ())
