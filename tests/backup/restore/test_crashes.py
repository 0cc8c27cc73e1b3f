"""Death, loss of power and kill -9 in a restore: the destination is the old database or the new, whole."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, BackupEngineOptions, BackupEngineReadOnly
from replicad.backup.archive.archiver import LogArchiver
from replicad.env import Env
from replicad.store.database import open_database
from tests.support.files.power_loss import Died, MortalFileSystem
from tests.support.stores.small import fill, small_options

ONE_AT_A_TIME = BackupEngineOptions(max_background_operations=1)
KILLS = int(os.environ.get("RESTORE_KILLS", "8"))
Content = dict[bytes, bytes]


def content(directory: Path) -> Content:
    with replicad.open(directory, read_only=True) as database:
        return dict(database.scan())


def attachments(directory: Path) -> dict[str, bytes]:
    """Files beside the database, by name."""
    return {path.name: path.read_bytes() for path in (directory / "attachments").iterdir() if path.is_file()}


class Prepared:
    """Two backups with attachments and the log after them; and another database, which has some of their
    tables and attachments."""

    def __init__(self, directory: Path) -> None:
        self.target = directory / "backups"
        self.old = directory / "old"
        self.states: dict[int, Content] = {}
        (directory / "files").mkdir()
        with (
            open_database(directory / "db", small_options()) as database,
            BackupEngine(self.target) as engine,
        ):
            archiver = LogArchiver(engine.target, database)
            for id in (1, 2):
                fill(database, 300, start=200 * id, value=os.urandom(60))
                database.compact()
                for name in ("same", "changing"):
                    (directory / "files" / name).write_bytes(b"%d" % (id if name == "changing" else 0))
                engine.create_backup(
                    database,
                    attachments=lambda snapshot: [
                        replicad.Attachment(directory / "files" / name, name, None)
                        for name in ("same", "changing")
                    ],
                )
                self.states[id] = dict(database.scan())
            fill(database, 300)
            self.goal = database.appended_sequence
            self.at_goal = dict(database.scan())
            assert database.wait_durable(self.goal, 30)
            while archiver.step():
                pass
            archiver.close()
            engine.restore_backup(1, self.old)
        with replicad.open(self.old, small_options()) as old:
            fill(old, 30)
            self.before = dict(old.scan())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("prepared"))


@pytest.mark.long
def test_death_at_every_operation(prepared: Prepared, tmp_path: Path) -> None:
    """Killed or without power, either database opens; the next restore goes on and leaves nothing behind."""
    outcomes = set()
    at = 0
    while True:
        root = tmp_path / f"{at}"
        shutil.copytree(prepared.old, root)
        fs = MortalFileSystem(dies_at=at)
        fs.begin_with(root)
        try:
            BackupEngineReadOnly(prepared.target, ONE_AT_A_TIME, env=Env(fs=fs)).restore_backup(2, root)
            ended = True
        except Died:
            ended = False
        dark = fs.left_by_power_loss(root, tmp_path / f"{at}-dark")
        for left in (root, dark):
            found = content(left)
            assert found in (prepared.before, prepared.states[2])
            assert not ended or found == prepared.states[2]
            assert not ended or attachments(left) == {"same": b"0", "changing": b"2"}
            assert found != prepared.before or attachments(left)["changing"] == b"1"
            outcomes.add(len(found))
            BackupEngineReadOnly(prepared.target).restore_backup(2, left)
            assert content(left) == prepared.states[2]
            assert not (left / "restore").exists()
            files = {path.name: path.read_bytes() for path in (left / "attachments").iterdir()}
            assert files == {"same": b"0", "changing": b"2"}
            shutil.rmtree(left)
        if ended:
            break
        at += 1
    assert at > 30
    assert len(outcomes) == 2


RESTORE = """
import sys
from replicad import BackupEngineReadOnly
print("begins", flush=True)
BackupEngineReadOnly(sys.argv[1]).restore_to(sys.argv[2], sequence=int(sys.argv[3]))
"""


@pytest.mark.long
def test_kill_9_of_a_restore_to_a_point(prepared: Prepared, tmp_path: Path) -> None:
    """However often it is killed, the old database opens until the new one does (RESTORE_KILLS=100)."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    root = tmp_path / "db"
    shutil.copytree(prepared.old, root)
    longest = 0.5
    kills = 0
    while kills < KILLS:
        process = subprocess.Popen(
            [sys.executable, "-c", RESTORE, str(prepared.target), str(root), str(prepared.goal)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        begun = time.monotonic()
        try:
            process.wait(rng.uniform(0, longest))
            longest = max(0.01, (time.monotonic() - begun) * 1.1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        process.stdout.close()
        found = content(root)
        assert found in (prepared.before, prepared.at_goal)
        if found == prepared.at_goal:
            shutil.rmtree(root)
            shutil.copytree(prepared.old, root)
    assert BackupEngine(prepared.target).verify_backups(checksums=True).ok
    BackupEngineReadOnly(prepared.target).restore_to(root, sequence=prepared.goal)
    assert content(root) == prepared.at_goal
    assert not (root / "restore").exists()
