"""One scripted life of a store on a disk that fails as planned, and the judge of it.

Right is an error or a success, and never a lie: what was acknowledged is there, in this process, after
reopening, and after a crash at the end; what was refused is not. A failed sync stops the store. A full disk
does not: it refuses writes, goes on reading, and takes writes again when there is room.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from replicad import WriteBatch
from replicad.errors import DiskFullError, PoisonedError
from replicad.store.database import Database, open_database
from tests.crash.script import Families, content_of, options
from tests.crash.states import Medium, Thoroughness
from tests.faults.plan import Faults, Plan
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.memory_filesystem import MemoryFileSystem

DATA = Path("/data")
COPY = Path("/copies/one")
BIG = b"big " * 300
CRASHES = Thoroughness(contents=4, orders=6, mixtures=2)


class Wrong(Exception):
    """A promise was broken; the message says which."""


class Run:
    """`states` are the contents that the store may have: all that were certain once, then those that a
    stopped store may hold or not. `certain` is the index of the last one that was acknowledged."""

    def __init__(self, plan: Plan | None, durability: str) -> None:
        self.plan = plan
        self.options = options(durability=durability, log_retention_bytes=20_000)
        self.fs = MemoryFileSystem()
        self.medium = Medium(self.fs)
        self.faults = Faults(plan)
        self.fs.before = self.faults
        self.states: list[Families] = [{"default": {}}]
        self.certain = 0
        self.durable = 0
        self.ranks: dict[int, int] = {0: 0}
        """State by the sequence number that leads to it."""
        self.database: Database | None = None
        self.runner = InlineRunner()
        self.script_calls: list[str] = []
        """The calls of the script, without those of the judge."""

    def play(self) -> None:
        for step in STEPS:
            self._step(step)
            if self.database is not None and self.database.failed is not None:
                self._end()
        self.script_calls = list(self.faults.calls)
        self._check_living()
        self.faults.healed = True
        self._check_healed()
        self._check_crashes()
        self._check_reopened()

    # The script's side

    def _step(self, step: Callable[[Run], None]) -> None:
        """Errors that say so are right; nothing else is."""
        if self.database is None and step is not _open:
            self._step(_open)
            if self.database is None:
                return
        before = self.database
        try:
            step(self)
        except (DiskFullError, PoisonedError, OSError) as error:
            self._judge_error(error, before)
        except Wrong:
            raise
        except Exception as error:
            raise Wrong(f"{step.__name__}: {error!r}") from error

    def _judge_error(self, error: Exception, database: Database | None) -> None:
        if self.faults.struck is None:
            raise Wrong(f"nothing had failed yet: {error!r}") from error
        full_disk = self.plan is not None and self.plan.is_full_disk
        if full_disk and isinstance(error, PoisonedError):
            raise Wrong(f"a full disk stopped the store: {error!r}") from error
        if isinstance(error, PoisonedError) and database is not None and database.failed is None:
            raise Wrong(f"{error!r}, and the store goes on") from error

    def write(self, change: Callable[[Database], object], result: Families) -> None:
        """`result` is the content after it. What a stopped store was asked last may be there or not."""
        database = self.database
        assert database is not None
        stopped = database.failed is not None
        try:
            change(database)
        except DiskFullError:
            raise
        except BaseException:
            if not stopped:
                self.states.append(result)
            raise
        if stopped:
            raise Wrong("a stopped store acknowledged a write")
        self.states.append(result)
        self.certain = len(self.states) - 1
        self.ranks[database.appended_sequence] = self.certain
        self.note_durable()

    def note_durable(self) -> None:
        assert self.database is not None
        sequence = self.database.durable_sequence
        self.durable = max(rank for at, rank in self.ranks.items() if at <= sequence)

    def resolve(self) -> None:
        """What an opening serves is certain from then on, and durable."""
        assert self.database is not None
        try:
            found = content_of(self.database)
        except OSError:
            self.database = None
            raise
        if found not in self.states[self.certain :]:
            raise Wrong(f"reopened, it holds {found}")
        self.certain = self.durable = self.states.index(found, self.certain)
        del self.states[self.certain + 1 :]
        self.ranks[self.database.appended_sequence] = self.certain
        if self.faults.struck is not None:
            self._check_crashes()

    def content(self) -> Families:
        return deepcopy(self.states[self.certain])

    def _end(self) -> None:
        """What a program does whose store has stopped; the next step opens it again."""
        database, self.database = self.database, None
        assert database is not None
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

    def disk_is_full(self) -> None:
        """Called while background work waits for room: reads go on, and a write says that there is none, or
        is taken. Then there is room again."""
        database = self.database
        if database is not None and not self.faults.healed:
            self._compare(database, "while the disk is full")
            result = self.content()
            batch = WriteBatch()
            batch.put(b"while full", b"1")
            result["default"][b"while full"] = b"1"
            try:
                self.write(lambda database: database.submit(batch), result)
            except DiskFullError:
                pass
        self.faults.healed = True

    def _check_living(self) -> None:
        if self.database is not None and self.database.failed is None:
            self._compare(self.database, "while it lives")

    def _check_healed(self) -> None:
        """With room, or a disk that works again, a store that did not stop takes writes."""
        database = self.database
        if database is None or database.failed is not None:
            return
        try:
            _put(b"healed", b"1")(self)
            database.flush()
        except Exception as error:
            raise Wrong(f"the disk has healed, and the store has not: {error!r}") from error
        self._compare(database, "after the disk has healed")

    def _compare(self, database: Database, when: str) -> None:
        try:
            found = content_of(database)
        except OSError as error:
            if self.faults.healed:
                raise Wrong(f"{when}: {error!r}") from error
            return
        if found != self.states[self.certain]:
            raise Wrong(f"{when} it shows {found}")

    def _check_crashes(self) -> None:
        for operation in self.fs.journal:
            self.medium.apply(operation)
        self.fs.journal.clear()
        draw = random.Random(1)
        for state in {state.key: state for state in self.medium.states(CRASHES, draw)}.values():
            self._check_left(MemoryFileSystem(state.image), self.durable, f"after a crash ({state.choice})")

    def _check_reopened(self) -> None:
        """Killed, and closed."""
        self._check_left(MemoryFileSystem(self.fs.image()), self.certain, "after a kill")
        if self.database is None:
            return
        try:
            self.database.close()
        except (PoisonedError, OSError) as error:
            if self.database.failed is None:
                raise Wrong(f"close: {error!r}") from error
        self._check_left(MemoryFileSystem(self.fs.image()), self.certain, "after a close")

    def _check_left(self, fs: MemoryFileSystem, least: int, when: str) -> None:
        env = inline_env(fs, InlineRunner(), 5)
        try:
            with open_database(DATA, self.options, env=env) as database:
                found = content_of(database)
        except Exception as error:
            raise Wrong(f"{when} it does not open: {error!r}") from error
        if found not in self.states[least:]:
            known = self.states.index(found) if found in self.states else None
            raise Wrong(f"{when} it holds state {known}, {least} was promised: {found}")
        if fs.exists(COPY):
            try:
                with open_database(COPY, self.options, env=env, read_only=True) as copy:
                    found = content_of(copy)
            except Exception as error:
                raise Wrong(f"{when} the checkpoint does not open: {error!r}") from error
            if found not in self.states:
                raise Wrong(f"{when} the checkpoint holds {found}")


class _Hooked(threading.Event):
    """Waiting for room is the moment to look, and then to make some."""

    def __init__(self, hook: Callable[[], None]) -> None:
        super().__init__()
        self._hook = hook

    def wait(self, timeout: float | None = None) -> bool:
        self._hook()
        return self.is_set()


# The steps


def _open(run: Run) -> None:
    run.runner = InlineRunner()
    env = inline_env(run.fs, run.runner, len(run.faults.calls))
    run.fs._locked.clear()  # A failed opening ends its process, and its lock with it.
    database = open_database(DATA, run.options, env=env)
    run.runner.adopt(database)
    assert database._background is not None
    database._background._stopping = _Hooked(run.disk_is_full)
    run.database = database
    run.resolve()


def _put(key: bytes, value: bytes, family: str = "default") -> Callable[[Run], None]:
    def put(run: Run) -> None:
        assert run.database is not None
        if (id := run.database.families.get(family)) is not None:
            result = run.content()
            result[family][key] = value
            run.write(lambda database: database.put(key, value, family=id), result)

    return put


def _batch(run: Run) -> None:
    batch = WriteBatch()
    batch.put(b"a", BIG)
    batch.delete(b"b")
    batch.put_log_data(b"an annotation")
    result = run.content()
    result["default"][b"a"] = BIG
    result["default"].pop(b"b", None)
    run.write(lambda database: database.write(batch), result)


def _family(run: Run) -> None:
    run.write(lambda database: database.create_family("one"), {**run.content(), "one": {}})


def _flush(run: Run) -> None:
    assert run.database is not None
    run.database.flush()


def _background(run: Run) -> None:
    run.runner.run_all()
    run.note_durable()


def _compact(run: Run) -> None:
    assert run.database is not None
    run.database.compact()


def _checkpoint(run: Run) -> None:
    assert run.database is not None
    if not run.fs.exists(COPY):
        run.database.create_checkpoint(COPY)


def _reopen(run: Run) -> None:
    """A close that fails has let go of everything all the same."""
    database, run.database = run.database, None
    assert database is not None
    try:
        database.close()
    finally:
        run.runner.run_all()
    _open(run)


STEPS: tuple[Callable[[Run], None], ...] = (
    _open,
    _put(b"a", b"1"),
    _put(b"b", BIG),
    _batch,
    _flush,
    _background,
    _put(b"c", BIG),
    _family,
    _put(b"d", BIG, "one"),
    _put(b"e", BIG),
    _flush,
    _compact,
    _background,
    _put(b"f", b"2"),
    _checkpoint,
    _reopen,
    _put(b"b", b"3"),
    _flush,
    _background,
)
