"""Restores on the disk that fails: into a new directory, and over a database that went on after the backup.

A restore that was reported done opens as the backup, attachments included; one that failed leaves the old
database or the new one, whole, and in no way of the next.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import ClassVar

from replicad import Attachment, BackupEngine
from replicad.env import Env
from replicad.store.database import open_database
from tests.crash.recording import ONE_AT_A_TIME
from tests.crash.script import DATA, Families, Script, content_of, options
from tests.faults.plan import Durability, Plan
from tests.faults.restoring import ROOT, restore
from tests.faults.run import BIG, Run, Step, Wrong, flush, put
from tests.support.files.memory_filesystem import Image

PLACE = Path("/restored/one")
ATTACHMENT = Path("/files/attached")
ATTACHED = b"attached " * 90


@cache
def _backups() -> tuple[Image, Families, dict[int, Families]]:
    """Two backups, the older one with log and an attachment, and the database that went on."""
    script = Script(options())
    engine = BackupEngine(ROOT, ONE_AT_A_TIME, env=script.env)
    contents: dict[int, Families] = {}
    script.put(b"a", BIG)
    script.flush()
    script.put(b"b", b"2")
    script.fs.make_directories(ATTACHMENT.parent)
    script.fs.create(ATTACHMENT).append(ATTACHED)
    with script.database.cut() as cut:
        id = engine.create_backup(cut, attachments=lambda snapshot: [Attachment(ATTACHMENT, "attached")]).id
    contents[id] = deepcopy(script.families)
    script.put(b"a", b"3")
    id = engine.create_backup(script.database, flush_before_backup=True).id
    contents[id] = deepcopy(script.families)
    script.put(b"c", BIG)
    script.flush()
    script.put(b"d", b"4")
    script.close()
    return script.fs.image(), script.families, contents


class RestoreRun(Run):
    """`placed` is what must be in the new directory; None before it was restored."""

    durabilities: ClassVar[tuple[Durability, ...]] = ("sync",)
    crashes: ClassVar[int] = 10

    def __init__(self, plan: Plan | None, durability: Durability) -> None:
        image, content, self.contents = _backups()
        super().__init__(plan, durability, image, content)
        self.placed: int | None = None
        self.attached = False

    def check_beside(self, image: Image, when: str) -> None:
        placed = self.seen(image, PLACE, self._open_placed)
        if isinstance(placed, Exception):
            raise Wrong(f"{when} the new directory does not open: {placed!r}") from placed
        if placed is None and self.placed is None:
            pass
        elif placed not in ([self.contents[self.placed]] if self.placed else self.contents.values()):
            raise Wrong(f"{when} the new directory holds {placed}")
        attached = image.get(f"{DATA}/attachments/attached")
        if attached != ATTACHED and (self.attached or attached is not None):
            raise Wrong(f"{when} the attachment is {attached!r}")

    def _open_placed(self, env: Env) -> Families | None:
        if not env.fs.exists(PLACE / "CURRENT"):
            return None
        with open_database(PLACE, self.options, env=env, read_only=True) as database:
            return content_of(database)

    def use_healed(self) -> None:
        """Both ways of restoring work, after whatever attempts, and so does what was restored."""
        super().use_healed()
        _restore_anew(self)
        restore_over(1)(self)
        self.open()
        super().use_healed()


# The steps


def _restore_anew(run: RestoreRun) -> None:
    restore(run, 1, PLACE)
    run.placed = 1


def restore_over(id: int) -> Step:
    def restore_over(run: RestoreRun) -> None:
        run.close()
        run.replace(lambda: restore(run, id, DATA), run.contents[id])
        run.attached = run.attached or id == 1

    return restore_over


RestoreRun.steps = (
    _restore_anew,
    restore_over(2),
    put(b"e", BIG),
    flush,
    restore_over(1),
    put(b"f", b"5"),
)
