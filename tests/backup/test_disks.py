"""A disk that fails under a backup: what is published is whole and durable, and what failed says so."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from replicad import BackupEngine
from replicad.env import Env
from replicad.errors import DiskFullError
from tests.crash.recording import ONE_AT_A_TIME
from tests.crash.script import Script, options
from tests.crash.states import Thoroughness
from tests.support.files.memory_filesystem import MemoryFileSystem

ROOT = Path("/backups")


def database() -> tuple[Script, BackupEngine]:
    """One with a table, and log after it."""
    script = Script(options())
    script.put(b"a", b"1")
    script.flush()
    script.put(b"b", b"2")
    return script, BackupEngine(ROOT, ONE_AT_A_TIME, env=script.env)


def durable(script: Script) -> MemoryFileSystem:
    """What a loss of power leaves at the least."""
    for operation in script.fs.journal:
        script.medium.apply(operation)
    script.fs.journal.clear()
    least = next(script.medium.states(Thoroughness(2, 0, 0), random.Random(1)))
    return MemoryFileSystem(least.image)


def fail(script: Script, call: str, beneath: Path, number: int = errno.EIO, *, nth: int = 1) -> list[Path]:
    """The first such call there fails, or the `nth`; what failed."""
    left = nth
    failed: list[Path] = []

    def before(what: str, path: Path, size: int) -> None:
        nonlocal left
        left -= what == call and path.is_relative_to(beneath)
        if not left and not failed:
            failed.append(path)
            raise OSError(number, "injected", str(path))

    script.fs.before = before
    return failed


def test_a_table_that_is_relied_on_is_durable() -> None:
    """A table whose name was never synced is at the target; a backup that shares it survives a power loss."""
    script, engine = database()
    failed = fail(script, "sync_directory", ROOT / "shared_checksum", nth=2)  # After that of a new directory.
    with pytest.raises(OSError):
        engine.create_backup(script.database)
    assert failed and engine.target.list("shared_checksum/")
    info = engine.create_backup(script.database)
    assert info.copied_files < info.file_count
    left = BackupEngine(ROOT, ONE_AT_A_TIME, env=Env(fs=durable(script)))
    left.verify_backup(info.id, checksums=True).raise_if_damaged()


def test_a_backup_that_is_published_is_reported() -> None:
    """Reading the target afterwards may fail: the backup is there, and its making did not."""
    script, engine = database()
    failed = fail(script, "open", ROOT / "meta" / "1.json")
    info = engine.create_backup(script.database)
    assert failed
    script.fs.before = MemoryFileSystem().before
    assert [(listed.id, listed.position) for listed in engine.get_backup_info()] == [(info.id, info.position)]


@pytest.mark.parametrize("call", ["mkdir", "create", "append", "rename", "link"])
def test_a_restore_without_room_says_so(call: str) -> None:
    """Whichever call finds none; with room it goes on."""
    script, engine = database()
    engine.create_backup(script.database, flush_before_backup=True)
    failed = fail(script, call, Path("/restored"), errno.ENOSPC)
    with pytest.raises(DiskFullError, match="/restored"):
        engine.restore_backup(1, "/restored")
    assert failed
    engine.restore_backup(1, "/restored")
