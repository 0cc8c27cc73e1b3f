"""A replica whose data does not fit its primary's: its log is cut back, or a copy is fetched and installed.

Until such an exchange is reported done the old data opens, or the new, or what the log still holds between
the two; from then on the new. One that failed is begun again and works.
"""

from __future__ import annotations

from typing import ClassVar

from replicad.replication.copy.staging import Staging
from replicad.store.copies.checkpoint import install, local_tables
from replicad.store.open.rewind import cut_back
from tests.crash.script import DATA
from tests.faults.plan import Durability, Plan
from tests.faults.primary import COPIED
from tests.faults.replica_script import ReplicaRun, apply
from tests.faults.run import Step, Wrong, background, flush, reopen
from tests.support.files.memory_filesystem import Image

DISCARDED = DATA / "discarded"


class RejoinRun(ReplicaRun):
    durabilities: ClassVar[tuple[Durability, ...]] = ("async",)
    names_full_disks: ClassVar[bool] = False

    def __init__(self, plan: Plan | None, durability: Durability) -> None:
        super().__init__(plan, durability)
        self.saved: dict[str, bytes] = {}
        """Log that was saved before it was cut off."""

    def check_beside(self, image: Image, when: str) -> None:
        super().check_beside(image, when)
        if lost := [path for path, content in self.saved.items() if image.get(path) != content]:
            raise Wrong(f"{when} the log that was saved is lost: {lost}")

    def cut_back(self, count: int) -> None:
        """By so many batches, or by as many as no table holds. What goes is saved before."""
        self.runner.run_all()
        rank = self.rank
        flushed = self.primary.rank(self.opened.flushed_position)
        assert rank is not None and flushed is not None
        goal = max(rank - count, flushed)
        position = self.primary.positions[goal]
        saved = self.opened.save_log(position, DISCARDED)
        if (saved.last, saved.batches) != (self.primary.positions[rank], rank - goal):
            raise Wrong(f"of the {rank - goal} batches that go {saved.batches} are saved")
        self.saved |= {str(path): self.fs.image()[str(path)] for path in saved.files}
        self.close()
        between = reversed(self.primary.states[goal:rank])
        self.replace(lambda: cut_back(self.env(), DATA, self.options, position), *between)

    def bootstrap(self) -> None:
        """As replication does it: what is there already is kept, the rest comes in pieces."""
        fetched = self.primary.copy
        entries = list(fetched)
        staging = Staging(self.fs, DATA, entries)
        tables = {sha256: DATA / name for (sha256, _), name in local_tables(self.fs, DATA).items()}
        for index, begun in staging.prepare(tables, 0).items():
            self._fetch(staging, index, fetched[entries[index]][begun:])
        staging.finish()
        self.close()
        self.replace(lambda: install(self.env(), staging.path, DATA), self.primary.states[COPIED])
        if self.fs.exists(staging.path):
            raise Wrong("a copy that is installed is still staged")

    def _fetch(self, staging: Staging, index: int, rest: bytes) -> None:
        file = staging.writer(index)
        try:
            file.append(rest[:200])
            if rest[200:]:
                file.append(rest[200:])
            file.finish()
        finally:
            file.close()

    def use_healed(self) -> None:
        """Either exchange works, after whatever attempts, and the replica goes on from there."""
        self.apply(1)
        self.cut_back(1)
        self.open()
        self.apply(1)
        self.bootstrap()
        self.open()
        if self.rank != COPIED:
            raise Wrong(f"it was given {COPIED} batches, and has {self.rank}")
        self.apply(2)
        self.opened.flush()


# The steps


def back(count: int) -> Step:
    def back(run: RejoinRun) -> None:
        run.cut_back(count)

    return back


def bootstrap(run: RejoinRun) -> None:
    run.bootstrap()


RejoinRun.steps = (
    apply(3),
    flush,
    background,
    apply(1),
    apply(4),
    apply(4),
    apply(1),
    back(7),
    apply(2),
    background,
    bootstrap,
    apply(1),
    flush,
    background,
    reopen,
    apply(1),
)
