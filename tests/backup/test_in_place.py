"""A backup is read where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

import replicad
from replicad.backup.engine import BackupEngine
from replicad.backup.options import BackupEngineOptions
from replicad.backup.read_only import BackupEngineReadOnly
from replicad.backup.target import Target
from replicad.errors import CorruptionError, NotFoundError, ReadOnlyError
from tests.support.backups.memory_target import MemoryTarget
from tests.support.stores.small import fill, small_options


@pytest.mark.parametrize("kind", ["directory", "memory", "fsspec"])
def test_every_backup_opens_in_place_with_its_own_content(tmp_path: Path, kind: str) -> None:
    """Every backup opens with its own content, log tail and families included, and nothing is written."""
    targets: dict[str, str | Path | Target] = {
        "directory": tmp_path / "target",
        "memory": MemoryTarget(),
        "fsspec": f"memory://{tmp_path.name}-in-place",
    }
    states = {}
    with (
        replicad.open(tmp_path / "db", small_options()) as db,
        BackupEngine(targets[kind], BackupEngineOptions(sync=False)) as engine,
    ):
        other = db.create_family("other")
        for round in range(3):
            fill(db, 500, start=200 * round)
            db.put(b"round", b"%d" % round, family=other)
            info = engine.create_backup(db)
            states[info.id] = (db.position, dict(db.scan()), db.get(b"round", family=other))
        listed = engine.target.list("")
    with BackupEngineReadOnly(targets[kind]) as reading:
        for id, (position, content, round_of) in states.items():
            with reading.open_backup(id) as then:
                assert then.position == position
                assert dict(then.scan()) == content
                assert then.get(b"round", family=other) == round_of
                with pytest.raises(ReadOnlyError):
                    then.put(b"k", b"v")
                assert not then.refresh()
        with pytest.raises(NotFoundError):
            reading.open_backup(17)
        assert reading.target.list("") == listed


def test_damage_is_found_by_reading(tmp_path: Path) -> None:
    """Blocks are checked as everywhere: damage at the target is an error, not a wrong value."""
    target = MemoryTarget()
    with replicad.open(tmp_path / "db", small_options()) as db, BackupEngine(target) as engine:
        fill(db, 500)
        engine.create_backup(db, flush_before_backup=True)
        for name, data in list(target.objects.items()):
            if name.startswith("shared_checksum/"):
                target.objects[name] = data[:50] + bytes([data[50] ^ 1]) + data[51:]
        with engine.open_backup(1) as then, pytest.raises(CorruptionError):
            dict(then.scan())
