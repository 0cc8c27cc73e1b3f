"""Backups on the disk that fails: made, verified, deleted, purged, and what is left of them collected.

One that was reported done verifies and opens at exactly its state, whatever happens to later ones; one that
failed is not there, and in nobody's way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ClassVar

from replicad import Attachment, BackupEngine, BackupEngineReadOnly
from replicad.backup.meta import BackupMeta
from replicad.env import Env
from replicad.store.database import open_database
from tests.crash.recording import ONE_AT_A_TIME
from tests.crash.script import Families, Script, content_of, options
from tests.faults.plan import Durability, Plan
from tests.faults.restoring import ROOT, restore
from tests.faults.run import BIG, Run, Step, Wrong, put, reopen
from tests.support.backups.watched import orphans
from tests.support.files.memory_filesystem import Image, MemoryFileSystem

ATTACHMENT = Path("/files/attached")
PLACE = Path("/restored")


@cache
def _database() -> tuple[Image, Families]:
    """One table, and log after it; beside it a file that goes with the backups."""
    script = Script(options())
    script.put(b"a", BIG)
    script.flush()
    script.put(b"b", b"2")
    script.close()
    return {**script.fs.image(), str(ATTACHMENT): b"attached " * 90}, script.families


class BackupRun(Run):
    """`kept` are the contents of the backups that must be there, and `leaving` of those that somebody tried
    to remove; `gone` are those that were. `tried` are the contents of all whose making failed: a crash may
    leave one of them, whole."""

    durabilities: ClassVar[tuple[Durability, ...]] = ("sync",)
    crashes: ClassVar[int] = 10

    def __init__(self, plan: Plan | None, durability: Durability) -> None:
        super().__init__(plan, durability, *_database())
        self.kept: dict[int, Families] = {}
        self.leaving: dict[int, Families] = {}
        self.gone: set[int] = set()
        self.tried: list[Families] = []
        self._opened: dict[BackupMeta, Families] = {}

    @property
    def engine(self) -> BackupEngine:
        return BackupEngine(ROOT, ONE_AT_A_TIME, env=self.env())

    def create(self, make: Callable[[BackupEngine], int]) -> None:
        before = self.certain
        try:
            id = make(self.engine)
        except BaseException:
            self.tried += self.states[before : self.certain + 1]
            self._check_not_there()
            raise
        position = self.engine_without_faults.get_backup(id).position
        self.kept[id] = self.states[self.ranks[position.sequence]]

    def remove(self, ids: list[int], remove: Callable[[BackupEngine], object]) -> None:
        self.leaving |= {id: self.kept.pop(id) for id in ids if id in self.kept}
        remove(self.engine)
        for id in ids:
            self.leaving.pop(id, None)
        self.gone |= set(ids)

    @property
    def engine_without_faults(self) -> BackupEngineReadOnly:
        return BackupEngineReadOnly(ROOT, ONE_AT_A_TIME, env=self.env(MemoryFileSystem(self.fs.image())))

    def _check_not_there(self) -> None:
        """Where removing worked, a backup whose making raised is not there."""
        if self.plan is None or self.plan.lasts_for("unlink"):
            return
        found = {info.id for info in self.engine_without_faults.get_backup_info()}
        if unexpected := found - self.kept.keys() - self.leaving.keys():
            raise Wrong(f"making backup {unexpected} raised, and there it is")

    def check_beside(self, image: Image, when: str) -> None:
        parts = {path: data for path, data in image.items() if not path.startswith(f"{ROOT}/tmp/")}
        found = self.seen(parts, ROOT, self._look)
        if isinstance(found, Exception):
            raise Wrong(f"{when} the backups cannot be used: {found!r}") from found
        if missing := self.kept.keys() - found.keys():
            raise Wrong(f"{when} the backups {missing} are gone")
        if back := self.gone & found.keys():
            raise Wrong(f"{when} the backups {back} are there again")
        for id, content in found.items():
            known = self.kept.get(id) or self.leaving.get(id)
            if content != known if known is not None else content not in self.tried:
                raise Wrong(f"{when} backup {id} holds {content}")

    def _look(self, env: Env) -> dict[int, Families]:
        """What each backup opens as. Of one whose files are whole, the meta says all."""
        engine = BackupEngineReadOnly(ROOT, ONE_AT_A_TIME, env=env)
        if damaged := engine.get_corrupted_backups():
            raise Wrong(f"damaged: {damaged}")
        engine.verify_backups(checksums=True).raise_if_damaged()
        found: dict[int, Families] = {}
        for info in engine.get_backup_info():
            meta = engine.get_backup(info.id)
            if meta not in self._opened:
                with engine.open_backup(info.id, self.options) as opened:
                    self._opened[meta] = content_of(opened)
            found[info.id] = self._opened[meta]
        return found

    def use_healed(self) -> None:
        """Another backup can be made and restored, and a collection leaves only what backups need."""
        super().use_healed()
        create()(self)
        newest = max(self.kept)
        restore(self, newest, PLACE)
        with open_database(PLACE, self.options, env=self.env(), read_only=True) as restored:
            if content_of(restored) != self.kept[newest]:
                raise Wrong(f"backup {newest} is restored as {content_of(restored)}")
        engine = self.engine
        if not (verification := engine.verify_backups(checksums=True)).ok:
            raise Wrong(f"after the disk has healed backups are damaged: {verification.problems}")
        engine.garbage_collect(0)
        if left := orphans(engine):
            raise Wrong(f"after a collection nobody needs {left}")
        if engine.target.remove_unfinished(0):
            raise Wrong("a collection left writes that were cut short")


# The steps


def create(*, flush: bool = False) -> Step:
    def create(run: BackupRun) -> None:
        run.create(lambda engine: engine.create_backup(run.opened, flush_before_backup=flush).id)

    return create


def _create_of_cut(run: BackupRun) -> None:
    """With a file of the application."""

    def make(engine: BackupEngine) -> int:
        with run.opened.cut() as cut:
            return engine.create_backup(
                cut, attachments=lambda snapshot: [Attachment(ATTACHMENT, "attached")], metadata=b"third"
            ).id

    run.create(make)


def verify(run: BackupRun) -> None:
    verification = run.engine.verify_backups(checksums=True)
    unread = [problem for problem in verification.problems if "cannot be read" in problem.reason]
    if len(unread) < len(verification.problems):
        raise Wrong(f"backups are damaged: {verification.problems}")
    if unread and run.faults.struck is None:
        raise Wrong(f"nothing had failed yet: {unread}")


def _delete_oldest(run: BackupRun) -> None:
    if run.kept:
        oldest = min(run.kept)
        run.remove([oldest], lambda engine: engine.delete_backup(oldest))


def _purge(run: BackupRun) -> None:
    ids: list[int] = [info.id for info in run.engine.get_backup_info()]
    run.remove(ids[:-1], lambda engine: engine.purge_old_backups(1))


def _collect(run: BackupRun) -> None:
    run.engine.garbage_collect(0)


BackupRun.steps = (
    create(),
    put(b"a", b"3"),
    create(),
    verify,
    put(b"c", BIG),
    _create_of_cut,
    _delete_oldest,
    create(flush=True),
    _purge,
    _collect,
    reopen,
    create(),
)
