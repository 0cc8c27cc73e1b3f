"""Death, loss of power and failure at every operation of a create, a purge and a collection."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, BackupEngineOptions
from replicad.env import Env
from tests.support.backups.watched import orphans, raise_unless_whole
from tests.support.files.power_loss import Died, MortalFileSystem
from tests.support.stores.small import fill, small_options

QUICK = BackupEngineOptions(sync=False)
ONE_AT_A_TIME = BackupEngineOptions(max_background_operations=1)
Step = Callable[[BackupEngine], object]


class Prepared:
    """Two backups of a database, and a checkpoint of it that has grown since, with an attachment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "backups"
        self.checkpoint = directory / "checkpoint"
        with replicad.open(directory / "db", small_options()) as database:
            with BackupEngine(self.root) as engine:
                for start in (0, 300):
                    fill(database, 300, start=start)
                    database.compact()
                    engine.create_backup(database)
            fill(database, 30, start=600)
            database.flush()
            fill(database, 10, start=700)
            database.create_checkpoint(self.checkpoint)

    def fresh_copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.root, self.directory / name))

    def create(self, engine: BackupEngine) -> object:
        return engine.create_backup(self.checkpoint)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("prepared"))


def purge(engine: BackupEngine) -> object:
    return engine.purge_old_backups(1)


def empty(engine: BackupEngine) -> object:
    return engine.purge_old_backups(0)


def steps(prepared: Prepared) -> dict[str, tuple[Step, set[int]]]:
    """What runs, and which backups must be there whenever it ends."""
    return {"create": (prepared.create, {1, 2}), "purge": (purge, {2}), "empty": (empty, set())}


@pytest.mark.parametrize(
    "what",
    [pytest.param("create", marks=pytest.mark.long), pytest.param("purge", marks=pytest.mark.long), "empty"],
)
def test_death_at_every_operation(prepared: Prepared, tmp_path: Path, what: str) -> None:
    """Killed or without power, the target verifies, nothing is orphaned, and the next backup can be made."""
    step, stay = steps(prepared)[what]
    at = 0
    while True:
        root = tmp_path / f"{at}"
        shutil.copytree(prepared.root, root)
        fs = MortalFileSystem(dies_at=at)
        fs.begin_with(root)
        try:
            step(BackupEngine(root, ONE_AT_A_TIME, env=Env(fs=fs)))
            ended = True
        except Died:
            ended = False
        dark = fs.left_by_power_loss(root, tmp_path / f"{at}-dark")
        for left in (root, dark):
            engine = BackupEngine(left, QUICK)
            raise_unless_whole(engine, *stay)
            prepared.create(engine)
            raise_unless_whole(engine, *stay)
            shutil.rmtree(left)
        if ended:
            break
        at += 1
    assert at > 10


@pytest.mark.parametrize("what", ["create", pytest.param("purge", marks=pytest.mark.long), "empty"])
def test_failure_of_every_operation(prepared: Prepared, tmp_path: Path, what: str) -> None:
    """One failing operation is raised, or did not matter; a failed create leaves the target as it was."""
    step, stay = steps(prepared)[what]
    before = set(BackupEngine(prepared.root).target.list(""))
    at = 0
    while True:
        root = tmp_path / f"{at}"
        shutil.copytree(prepared.root, root)
        fs = MortalFileSystem(fails_at=at)
        engine = BackupEngine(root, ONE_AT_A_TIME, env=Env(fs=fs))
        try:
            step(engine)
            failed = False
        except OSError:
            failed = True
        if fs.operations <= at:
            break
        again = BackupEngine(root, QUICK)
        if failed and what == "create":
            left = set(again.target.list("")) - before - {"meta/last-3"}
            kept = [name for name in left if name.startswith("shared_checksum/")]
            # Where publishing it failed, the request could still arrive: it is revoked for good.
            revoked = [name for name in left if name.endswith(".revoked.json")]
            assert left == {*kept, *revoked} and len(revoked) < 2, left
            assert [info.id for info in again.get_backup_info()] == [1, 2]
        raise_unless_whole(again, *stay)
        shutil.rmtree(root)
        at += 1
    assert at > 10


def test_an_interrupted_create_is_used_by_the_next(prepared: Prepared, tmp_path: Path) -> None:
    """What was copied whole is not copied again."""
    root = tmp_path / "target"
    whole = BackupEngine(tmp_path / "whole").create_backup(prepared.checkpoint)
    engine = BackupEngine(root, ONE_AT_A_TIME, env=Env(fs=MortalFileSystem(dies_at=25)))
    with pytest.raises(Died):
        engine.create_backup(prepared.checkpoint)
    left = BackupEngine(root).target.list("shared_checksum/")
    assert left
    info = BackupEngine(root).create_backup(prepared.checkpoint)
    assert info.copied_bytes == whole.copied_bytes - sum(left.values())


def test_a_collection_waits_a_grace_age_for_the_dead(prepared: Prepared, tmp_path: Path) -> None:
    """What a create left that died stays for the time that it could still be alive."""
    root = tmp_path / "target"
    with pytest.raises(Died):
        BackupEngine(root, ONE_AT_A_TIME, env=Env(fs=MortalFileSystem(dies_at=40))).create_backup(
            prepared.checkpoint
        )
    engine = BackupEngine(root)
    left = orphans(engine)
    assert engine.garbage_collect().claims_revoked == 0
    assert orphans(engine) == left
    assert engine.garbage_collect(0).claims_revoked == 1
    assert not orphans(engine)
