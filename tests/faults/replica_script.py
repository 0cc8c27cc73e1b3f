"""The life of a replica: frames applied, flushed, its log rotated and archived; promoted, demoted, promoted.

What it took and reported durable is there, and nothing that its primary never was; whose the database is, the
manifest says as it was acknowledged.
"""

from __future__ import annotations

from typing import ClassVar

from replicad.env import FileSystem
from replicad.errors import DiskFullError, PoisonedError, ReadOnlyError
from replicad.store.core import Role
from replicad.store.roles import recorded_role
from tests.crash.script import DATA, options
from tests.faults.plan import Durability, Plan
from tests.faults.primary import BASE, primary
from tests.faults.run import BIG, Run, Step, Wrong, background, flush, put, reopen
from tests.support.files.memory_filesystem import Image, MemoryFileSystem


class ReplicaRun(Run):
    """`roles` are those that the manifest may tell."""

    crashes: ClassVar[int] = 10

    def __init__(self, plan: Plan | None, durability: Durability) -> None:
        self.primary = primary()
        super().__init__(plan, durability, self.primary.base, self.primary.states[BASE])
        self.options = options(durability=durability, log_retention_bytes=6_000)
        self.roles: set[Role] = {"replica"}

    def role(self, fs: FileSystem) -> Role:
        recorded = recorded_role(fs, DATA)
        return "owner" if recorded is not None and recorded[0] else "replica"

    def open(self) -> None:
        super().open()
        if self.opened.role not in self.roles:
            raise Wrong(f"it opens as {self.opened.role}, not as {self.roles}")
        self.roles = {self.opened.role}

    @property
    def rank(self) -> int | None:
        """How many of the primary's batches it has; None when it has others."""
        return self.primary.rank(self.opened.position)

    def apply(self, count: int) -> None:
        rank = self.rank
        if rank is None or self.opened.role == "owner":
            return
        frames = self.primary.frames[rank : rank + count]
        states = self.primary.states[rank + 1 : rank + count + 1]
        if not frames:
            return
        try:
            self.write(lambda database: database.apply_frames(b"".join(frames)), *states)
        except DiskFullError:
            # Some whole frames may be in the part that found room. It was cut off, and a crash may undo that.
            self.states += states[:-1]
            raise

    def promote(self) -> None:
        if self.opened.role == "owner":
            return
        roles, self.roles = self.roles, {"replica", "owner"}
        try:
            self.opened.promote(self.random.bytes(16))
        except DiskFullError as error:
            if self.opened.failed is not None:
                raise Wrong(f"a promotion that only opening can decide says: {error!r}") from error
            self.roles = roles
            raise
        except PoisonedError as error:
            if self.plan is None or not self.plan.lasts_for("append"):
                raise
            raise OSError("there was no room to take the promotion back either") from error
        self._changed("owner")

    def demote(self) -> None:
        self.roles = {"replica", "owner"} if "owner" in self.roles else {"replica"}
        self.opened.demote()
        self._changed("replica")

    def _changed(self, role: Role) -> None:
        database = self.opened
        if database.role != role:
            raise Wrong(f"changed to {role} it is {database.role}")
        self.roles = {role}
        self.ranks[database.appended_sequence] = self.certain
        if database.durable_sequence != database.appended_sequence:
            raise Wrong(f"changed to {role} it is durable through {database.durable_sequence} only")

    def write_while_full(self) -> None:
        if self.opened.role == "owner":
            super().write_while_full()
        else:
            self.apply(1)

    def check_beside(self, image: Image, when: str) -> None:
        found = self.role(MemoryFileSystem(image))
        if found not in self.roles:
            raise Wrong(f"{when} it is {found}, not {self.roles}")

    def use_healed(self) -> None:
        """It goes on in its role, and changes it."""
        self.apply(1)
        if self.opened.role == "replica" and "owner" in self.roles:
            self.demote()  # Again, for what could not be recorded.
        self.promote()
        super().use_healed()


# The steps


def apply(count: int) -> Step:
    def apply(run: ReplicaRun) -> None:
        run.apply(count)

    return apply


def promote(run: ReplicaRun) -> None:
    run.promote()


def demote(run: ReplicaRun) -> None:
    run.demote()


def own(key: bytes, value: bytes) -> Step:
    """A put of an owner; a replica refuses it."""

    def own(run: ReplicaRun) -> None:
        if run.opened.role == "owner":
            put(key, value)(run)
            return
        try:
            run.opened.put(key, value)
        except (ReadOnlyError, PoisonedError):
            return
        raise Wrong("a replica took a write")

    return own


ReplicaRun.steps = (
    apply(1),
    background,
    apply(3),
    flush,
    background,
    apply(2),
    background,
    reopen,
    apply(4),
    flush,
    background,
    apply(1),
    promote,
    own(b"d", BIG),
    demote,
    own(b"e", BIG),
    promote,
    own(b"f", BIG),
    flush,
    reopen,
    own(b"g", b"1"),
)
