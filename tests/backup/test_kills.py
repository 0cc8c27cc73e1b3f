"""kill -9 of a process that makes, purges and collects backups, at random moments.

`BACKUP_KILLS` says how many; `BACKUP_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import replicad
from replicad import BackupEngine
from tests.support.backups.watched import raise_unless_whole
from tests.support.stores.small import fill, small_options

KILLS = int(os.environ.get("BACKUP_KILLS", "8"))
REPOSITORY = Path(__file__).resolve().parents[2]


def test_kills_at_random_moments(tmp_path: Path) -> None:
    """Whatever was being done: every backup listed is whole, no id comes twice, and nothing is orphaned."""
    seed = int(os.environ.get("BACKUP_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"BACKUP_SEED={seed}")
    source = random.Random(seed)
    checkpoints = []
    with replicad.open(tmp_path / "db", small_options()) as database:
        for number in range(4):
            fill(database, 150, start=150 * number)
            if number % 2:
                database.compact()
            path = tmp_path / f"checkpoint-{number}"
            database.create_checkpoint(path)
            checkpoints.append(str(path))
    root = tmp_path / "backups"
    positions: dict[int, str] = {}
    for _ in range(KILLS):
        command = [
            sys.executable,
            "-m",
            "tests.support.backups.worker",
            str(root),
            str(source.randrange(1 << 30)),
        ]
        process = subprocess.Popen([*command, *checkpoints], stdout=subprocess.PIPE, cwd=REPOSITORY)
        try:
            assert process.stdout is not None
            requests = source.randrange(1, 150)
            assert len(process.stdout.read(requests)) == requests, "the process ended by itself"
        finally:
            process.kill()
            process.communicate(timeout=60)
        engine = BackupEngine(root)
        found = {info.id: str(info.position) for info in engine.get_backup_info()}
        assert all(positions.setdefault(id, position) == position for id, position in found.items())
        assert not engine.get_corrupted_backups()
        verification = engine.verify_backups(checksums=True)
        assert verification.ok, verification.problems
        if source.random() < 0.3:
            raise_unless_whole(engine, *found)
    raise_unless_whole(BackupEngine(root))
    assert positions
