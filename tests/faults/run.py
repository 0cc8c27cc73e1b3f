"""One scripted life of a database on a disk that fails as planned, and the judge of it.

Right is an error or a success, and never a lie: what was acknowledged is there, in this process, after
reopening, and after a crash; what was refused is not. A failed sync stops the store. A full disk does not: it
refuses writes, goes on reading, and takes writes again when there is room.

A script is a subclass: its steps, what lies beside the database, and what must work once the disk has healed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from replicad import WriteBatch
from replicad.env import Env, FileSystem, is_no_room
from replicad.errors import DiskFullError, PoisonedError
from replicad.store.core import Role
from replicad.store.database import Database, open_database
from tests.crash.script import DATA, Families, content_of, end_of_log, options
from tests.crash.states import Medium, State, Thoroughness
from tests.faults.plan import Durability, Faults, Plan
from tests.support.files.memory_filesystem import Image, MemoryFileSystem
from tests.support.inline_runner import InlineRunner, SeededRandom, TickingClock

BIG = b"big " * 300

Step = Callable[[Any], None]
T = TypeVar("T")


class Wrong(Exception):
    """A promise was broken; the message says which."""


class Run:
    """`states` are the contents that the database may have: all that were certain once, then those that it
    may hold or not. `certain` is the index of the last one that was acknowledged, and `durable` of the last
    one that a loss of power must leave."""

    steps: ClassVar[tuple[Step, ...]]
    crashes: ClassVar[Thoroughness | int]
    """Which states are looked at that a crash after a step may leave; a number says how many are drawn."""
    durabilities: ClassVar[tuple[Durability, ...]] = ("sync", "async")
    names_full_disks: ClassVar[bool] = True
    """Whether all that its steps call raises DiskFullError for one."""

    def __init__(
        self,
        plan: Plan | None,
        durability: Durability,
        image: Image | None = None,
        content: Families | None = None,
    ) -> None:
        """`image` is what is there before, all of it durable, and `content` what the database in it holds."""
        self.plan = plan
        self.options = options(durability=durability, log_retention_bytes=20_000)
        self.fs = MemoryFileSystem(image)
        self.medium = Medium(self.fs)
        self.faults = Faults(plan)
        self.fs.before = self.faults
        self.clock = TickingClock()
        self.random = SeededRandom(1)
        self.states: list[Families] = [content or {"default": {}}]
        self.certain = 0
        self.durable = 0
        self.ranks: dict[int, int] = {}
        """State by the sequence number that leads to it, since the opening."""
        self.database: Database | None = None
        self.runner = InlineRunner()
        self.script_calls: list[str] = []
        """The calls of the script, without those of the judge."""
        self._draw = random.Random(str(plan))
        self._seen: dict[object, object] = {}

    def play(self) -> None:
        for step in self.steps:
            self._step(step)
            database = self.database
            if database is not None and database.failed is not None:
                self._end()
            elif database is not None:
                self.note_durable()
            if self.faults.struck is not None:
                self.check_crashes()
        self.script_calls = list(self.faults.calls)
        self._check_living()
        self.faults.healed = True
        self._check_healed()
        self.check_crashes()
        self._check_reopened()

    # The script's side

    def _step(self, step: Step) -> None:
        """Errors that say so are right; nothing else is."""
        if self.database is None and step is not open_anew:
            self._step(open_anew)
            if self.database is None:
                return
        before = self.database
        try:
            step(self)
        except (DiskFullError, PoisonedError, OSError) as error:
            self._judge_error(step, error, before)
        except Wrong:
            raise
        except Exception as error:
            raise Wrong(f"{step.__name__}: {error!r}") from error

    def _judge_error(self, step: Step, error: Exception, database: Database | None) -> None:
        if self.faults.struck is None:
            raise Wrong(f"{step.__name__}: nothing had failed yet: {error!r}") from error
        full_disk = self.plan is not None and self.plan.is_full_disk
        if full_disk and isinstance(error, PoisonedError):
            raise Wrong(f"{step.__name__}: a full disk stopped the store: {error!r}") from error
        if self.names_full_disks and isinstance(error, OSError) and is_no_room(error):
            raise Wrong(f"{step.__name__}: a full disk, and no DiskFullError: {error!r}") from error
        if isinstance(error, PoisonedError) and database is not None and database.failed is None:
            raise Wrong(f"{step.__name__}: {error!r}, and the store goes on") from error

    @property
    def opened(self) -> Database:
        assert self.database is not None
        return self.database

    def env(self, fs: FileSystem | None = None) -> Env:
        """Clock and randomness of the run; the file system is its own unless another one is given."""
        runner = InlineRunner() if fs is not None else self.runner
        return Env(fs=fs or self.fs, clock=self.clock, random=self.random, runner=runner)

    def role(self, fs: FileSystem) -> Role:
        """What the database on `fs` is opened as."""
        return "owner"

    def open(self) -> None:
        self.runner = InlineRunner()
        self.fs._locked.clear()  # A failed opening ends its process, and its lock with it.
        database = open_database(DATA, self.options, env=self.env(), role=self.role(self.fs))
        database._writer().background._stopping = Hooked(self._disk_is_full)
        self.database = database
        self._resolve(database)

    def close(self) -> None:
        """A close that fails has let go of everything all the same."""
        database, self.database = self.opened, None
        try:
            database.close()
            self.durable = self.certain
        finally:
            self.runner.run_all()

    def write(self, change: Callable[[Database], object], *results: Families, waits: bool = True) -> None:
        """`results` are the contents after each batch of it. What a stopped store was asked last may be there
        or not."""
        database = self.opened
        stopped = database.failed is not None
        try:
            change(database)
        except DiskFullError:
            raise
        except BaseException:
            if not stopped:
                self.states += results
            raise
        if stopped:
            raise Wrong("a stopped store acknowledged a write")
        del self.states[self.certain + 1 :]
        self.states += results
        self.certain = len(self.states) - 1
        self.ranks[database.appended_sequence] = self.certain
        if waits and self.options.durability == "sync" and database.role == "owner":
            self.durable = self.certain
        self.note_durable()

    def replace(self, change: Callable[[], object], *results: Families) -> None:
        """Exchanges the data of the closed database for the last of `results`: until that returns, what was
        there or any of them is right, and nothing else."""
        self.states = [*self.states[self.durable :], *results]
        self.certain -= self.durable
        self.durable = 0
        change()
        self.certain = self.durable = len(self.states) - 1

    def note_durable(self) -> None:
        sequence = self.opened.durable_sequence
        reached = max(rank for at, rank in self.ranks.items() if at <= sequence)
        self.durable = max(self.durable, reached)

    def content(self) -> Families:
        return deepcopy(self.states[self.certain])

    def _resolve(self, database: Database) -> None:
        """What an opening serves is certain from then on, and durable."""
        try:
            found = content_of(database)
        except OSError:
            self.database = None
            raise
        if found not in self.states[self.certain :]:
            raise Wrong(f"reopened, it holds {found}")
        self.certain = self.durable = self.states.index(found, self.certain)
        del self.states[self.certain + 1 :]
        self.ranks = {database.appended_sequence: self.certain}

    def _end(self) -> None:
        """What a program does whose store has stopped; the next step opens it again."""
        database, self.database = self.opened, None
        try:
            database.put(b"after it stopped", b"")
        except PoisonedError:
            pass
        else:
            raise Wrong("a stopped store acknowledged a write")
        try:
            database.close()
        except (PoisonedError, OSError):
            pass

    # The judge's side

    def write_while_full(self) -> None:
        result = self.content()
        batch = WriteBatch()
        batch.put(b"while full", b"1")
        result["default"][b"while full"] = b"1"
        self.write(lambda database: database.submit(batch), result, waits=False)

    def use_healed(self) -> None:
        """What an open database must do once the disk is well again; any error is wrong."""
        put(b"healed", b"1")(self)
        self.opened.flush()

    def check_beside(self, image: Image, when: str) -> None:
        """Raises Wrong unless what lies beside the database is what it must be."""

    def seen(self, image: Image, beneath: Path, look: Callable[[Env], T]) -> T | Exception:
        """What somebody finds who has this part of an image alone, or the error that he meets. Of equal ones
        only the first is looked at."""
        part = {path: data for path, data in image.items() if path.startswith(f"{beneath}/")}
        key = (beneath, frozenset(part.items()))
        if key not in self._seen:
            try:
                self._seen[key] = look(self.env(MemoryFileSystem(part)))
            except Exception as error:
                self._seen[key] = error
        return cast(T | Exception, self._seen[key])

    def _disk_is_full(self) -> None:
        """Called while background work waits for room: reads go on, and a write says that there is none, or
        is taken. Then there is room again."""
        database = self.database
        if database is not None and not self.faults.healed:
            self._compare(database, "while the disk is full")
            try:
                self.write_while_full()
            except DiskFullError:
                pass
        self.faults.healed = True

    def _check_living(self) -> None:
        if self.database is not None and self.database.failed is None:
            self._compare(self.database, "while it lives")

    def _check_healed(self) -> None:
        try:
            if self.database is None:
                if self.plan is not None and self.plan.lasts_for("create"):
                    self._start_machine_anew()
                self.open()
            self.runner.run_all()  # Background work looks for room every second, and finds it.
            self.use_healed()
            if self.database is None:
                self.open()
        except Wrong:
            raise
        except Exception as error:
            raise Wrong(f"the disk has healed, and the store has not: {error!r}") from error
        self._compare(self.opened, "after the disk has healed")

    def _start_machine_anew(self) -> None:
        """What else heals a disk that took nothing at all, not even the mark that log is in doubt: the page
        cache, which nobody may believe then, is gone."""
        self.check_crashes()
        self.fs = MemoryFileSystem(next(self._states()).image)
        self.fs.before = self.faults
        self.medium = Medium(self.fs)
        self.certain = self.durable

    def _compare(self, database: Database, when: str) -> None:
        try:
            found = content_of(database)
        except OSError as error:
            if self.faults.healed:
                raise Wrong(f"{when}: {error!r}") from error
            return
        if found != self.states[self.certain]:
            raise Wrong(f"{when} it shows {found}")

    def check_crashes(self) -> None:
        for operation in self.fs.journal:
            self.medium.apply(operation)
        self.fs.journal.clear()
        for state in self._states():
            try:
                self._check_left(state.image, self.durable, "after a crash")
            except Wrong as wrong:
                raise Wrong(f"{wrong} ({state.choice})") from wrong

    def _states(self) -> Iterator[State]:
        """What a crash now may leave: nothing beyond what is durable first."""
        if isinstance(self.crashes, Thoroughness):
            yield from self.medium.states(self.crashes, random.Random(1))
        else:
            yield next(self.medium.states(Thoroughness(2, 0, 0), self._draw))
            for _ in range(self.crashes):
                yield self.medium.draw(self._draw)

    def _check_reopened(self) -> None:
        """Killed, and closed."""
        self._check_left(self.fs.image(), self.certain, "after a kill")
        database = self.opened
        try:
            self.close()
        except (PoisonedError, OSError) as error:
            if database.failed is None:
                raise Wrong(f"close: {error!r}") from error
        self._check_left(self.fs.image(), self.certain, "after a close")

    def _check_left(self, image: Image, least: int, when: str) -> None:
        found = self.seen(image, DATA, self._open_left)
        if isinstance(found, Exception):
            raise Wrong(f"{when} it does not open: {found!r}") from found
        if found not in self.states[least:]:
            known = self.states.index(found) if found in self.states else None
            raise Wrong(f"{when} it holds state {known}, {least} was promised: {found}")
        self.check_beside(image, when)

    def _open_left(self, env: Env) -> Families:
        """All that it holds; whatever log there is leads to its position, without a gap."""
        with open_database(DATA, self.options, env=env, role=self.role(env.fs)) as database:
            if (reached := end_of_log(database)) != database.position:
                raise Wrong(f"its log leads to {reached}, not to {database.position}")
            return content_of(database)


class Hooked(threading.Event):
    """Waiting for room is the moment to look, and then to make some."""

    def __init__(self, hook: Callable[[], None]) -> None:
        super().__init__()
        self._hook = hook

    def wait(self, timeout: float | None = None) -> bool:
        self._hook()
        return self.is_set()


# Steps of every script


def open_anew(run: Run) -> None:
    run.open()


def reopen(run: Run) -> None:
    run.close()
    run.open()


def put(key: bytes, value: bytes, family: str = "default") -> Step:
    def put(run: Run) -> None:
        if (id := run.opened.families.get(family)) is not None:
            result = run.content()
            result[family][key] = value
            run.write(lambda database: database.put(key, value, family=id), result)

    return put


def flush(run: Run) -> None:
    run.opened.flush()


def background(run: Run) -> None:
    run.runner.run_all()
