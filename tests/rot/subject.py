"""The files that rot: a small database, closed cleanly, with a checkpoint and a backup of it.

It has tables of two column families in two levels, archived and live log, annotations and deletions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from replicad import BackupEngine, Options
from replicad.backup.options import BackupEngineOptions
from replicad.types import Operation
from tests.crash.script import Families, Script, options
from tests.support.files.memory_filesystem import MemoryFileSystem

COPY = Path("/copies/one")
BACKUPS = Path("/backups")
PLAIN = BackupEngineOptions(max_background_operations=1)


@dataclass(frozen=True)
class Subject:
    image: dict[str, bytes]
    options: Options
    content: Families
    copied: Families
    """What the checkpoint and the backup hold."""
    updates: list[tuple[int, list[Operation]]]
    """(first sequence number, operations) of the whole log."""
    backup: int

    @property
    def files(self) -> dict[str, bytes]:
        """Those that can rot; lock files say nothing."""
        return {name: data for name, data in self.image.items() if data and not name.endswith("/LOCK")}


@cache
def subject() -> Subject:
    script = Script(options(block_bytes=512, durability="async"))
    script.create_family("one")
    for number in range(24):
        script.write((b"key-%02d" % number, b"value %d " % number * 9), annotation=b"note %d" % number)
        if number == 11:
            script.compact()
    for number in range(0, 24, 5):
        script.delete(b"key-%02d" % number)
        script.put(b"in-%02d" % number, b"one " * 20, "one")
    script.flush()
    script.run()
    script.put(b"key-01", b"the log's alone")
    script.run()
    script.database.create_checkpoint(COPY)
    copied = {name: dict(pairs) for name, pairs in script.families.items()}
    with BackupEngine(BACKUPS, PLAIN, env=script.env) as engine:
        backup = engine.create_backup(script.database).id
    script.put(b"key-02", b"after the copies")
    script.run()
    updates = [
        (int(update.first_sequence), list(update.batch.operations))
        for update in script.database.get_updates_since(1)
    ]
    script.close()
    return Subject(script.fs.image(), script.options, script.families, copied, updates, backup)


def damaged(file: str, data: bytes) -> MemoryFileSystem:
    """The subject with another content of one file."""
    return MemoryFileSystem({**subject().image, file: data})
