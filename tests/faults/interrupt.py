"""An exception from outside, at every bytecode: what a signal's handler that raises does to the caller's
thread.

Each scenario is one call of the library. It runs once to count its bytecodes, those of the package's own
frames in the calling thread, and then once for each of them, with an exception raised there. The program
catches it and goes on: what was acknowledged must be there, in the open store, in its log, in a checkpoint
and after opening it again; the interrupted call happened or did not; nothing is held for ever; and the next
write works.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import replicad
from replicad import BackupEngine, Options, WriteBatch
from replicad.store.database import Database
from replicad.types import Sequence
from tests.support.files.memory_directory import memory_directory
from tests.support.waiting import eventually

PACKAGE = str(Path(replicad.__file__).parent)
DEADLINE_SECONDS = 30.0


class Interrupted(BaseException):
    """What the handler of a signal raises."""


class Wrong(AssertionError):
    """Something that an exception from outside must not bring about."""


@dataclass
class Story:
    """One open database, and what its caller knows of it."""

    directory: Path
    database: Database
    sure: dict[bytes, bytes | None] = field(default_factory=dict)
    """Acknowledged; None for an acknowledged deletion."""
    perhaps: set[bytes] = field(default_factory=set)
    """Keys of the interrupted call: written or not."""

    def put(self, key: bytes, value: bytes) -> None:
        """Acknowledged, unless it raises."""
        self.perhaps.add(key)
        self.database.put(key, value)
        self.perhaps.discard(key)
        self.sure[key] = value

    def __enter__(self) -> Story:
        return self

    def __exit__(self, *exc: object) -> None:
        self.database.close()


def _put(story: Story) -> None:
    story.put(b"put", b"1")


def _delete(story: Story) -> None:
    story.perhaps.add(b"00")
    story.database.delete(b"00")
    story.perhaps.discard(b"00")
    story.sure[b"00"] = None


def _batch(*keys: bytes) -> WriteBatch:
    batch = WriteBatch()
    for key in keys:
        batch.put(key, b"1")
    batch.put_log_data(b"annotation")
    return batch


def _write(story: Story) -> None:
    story.perhaps |= {b"write-a", b"write-b"}
    story.database.write(_batch(b"write-a", b"write-b"))


def _write_if(story: Story) -> None:
    story.perhaps.add(b"write-if")
    story.database.write(_batch(b"write-if"), conditions=[(b"00", b"before"), (b"absent", None)])


def _submit_many(story: Story) -> None:
    story.perhaps |= {b"many-a", b"many-b"}
    story.database.submit_many([_batch(b"many-a"), (b"many-b", b"1")])


def _snapshot(story: Story) -> None:
    with story.database.snapshot() as snapshot:
        if snapshot.get(b"00") != b"before":
            raise Wrong("the snapshot does not show what was there")


def _cut(story: Story) -> None:
    with story.database.cut(flush=True) as cut:
        if cut.snapshot.get(b"00") != b"before":
            raise Wrong("the cut does not show what was there")


def _flush(story: Story) -> None:
    story.database.flush()


def _compact(story: Story) -> None:
    story.database.compact()


def _checkpoint(story: Story) -> None:
    story.database.create_checkpoint(story.directory / "checkpoint")


def _backup(story: Story) -> None:
    with BackupEngine(story.directory / "backups") as engine:
        engine.create_backup(story.database)


def _families(story: Story) -> None:
    family = story.database.create_family("orders")
    story.database.put(b"7", b"paid", family=family)
    story.database.drop_family(family)


def _open(story: Story) -> None:
    with replicad.open(story.directory / "another") as database:
        database.put(b"k", b"v")


def _close(story: Story) -> None:
    story.database.close()


def _rotate(story: Story) -> None:
    """Each put fills a segment, and some fill a memtable."""
    for number in range(3):
        story.put(b"rotate-%d" % number, b"x" * 30_000)


SCENARIOS: dict[str, Callable[[Story], None]] = {
    "put": _put,
    "delete": _delete,
    "write": _write,
    "write-if": _write_if,
    "submit-many": _submit_many,
    "snapshot": _snapshot,
    "cut": _cut,
    "flush": _flush,
    "compact": _compact,
    "checkpoint": _checkpoint,
    "backup": _backup,
    "rotate": _rotate,
    "families": _families,
    "open": _open,
    "close": _close,
}

DURABILITIES = ("async", "sync")
SMALL = {"rotate": {"segment_bytes": 4096, "memtable_bytes": 65536}}


@contextmanager
def _story(scenario: str, durability: str, directory: Path) -> Iterator[Story]:
    options = Options(durability=durability, disk_reserve_bytes=0, **SMALL.get(scenario, {}))  # type: ignore[arg-type]
    with Story(directory, replicad.open(directory / "db", options)) as story:
        for number in range(3):
            story.put(b"%02d" % number, b"before")
        story.database.flush()
        story.put(b"03", b"before")
        yield story


def bytecodes(scenario: str, durability: str) -> int:
    """How many there are at which it can be interrupted."""
    return _run(scenario, durability, None)


@dataclass(frozen=True, slots=True)
class Moment:
    """One run: this call, interrupted there. Its text is what `--case` takes."""

    scenario: str
    durability: str
    at: int

    def __str__(self) -> str:
        return f"interrupt/{self.scenario}/{self.durability}/{self.at}"

    @classmethod
    def parse(cls, text: str) -> Moment:
        _, scenario, durability, at = text.split("/")
        return cls(scenario, durability, int(at))


def moments(scenario: str, durability: str, every: int = 1, first: int = 0) -> list[Moment]:
    """All bytecodes of a call, or every so many-th."""
    count = bytecodes(scenario, durability)
    return [Moment(scenario, durability, at) for at in range(1 + first % every, count + 1, every)]


def play(moment: Moment) -> str | None:
    """What is wrong after an exception at the bytecode with this number, or None."""
    try:
        _run(moment.scenario, moment.durability, moment.at)
    except Wrong as wrong:
        return f"{moment}: {wrong}"
    return None


def _run(scenario: str, durability: str, at: int | None) -> int:
    directory = Path(tempfile.mkdtemp(prefix="interrupt-", dir=memory_directory()))
    injector = Injector(at)
    try:
        with _story(scenario, durability, directory) as story:
            try:
                with injector:
                    SCENARIOS[scenario](story)
            except Interrupted:
                pass
            where = injector.where
            if scenario != "close":
                _check_open(story, where)
        _check_again(story, directory / "db", where)
        return injector.count
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _check_open(story: Story, where: str) -> None:
    database, core = story.database, story.database._writer().core
    if database.failed is not None:
        raise Wrong(f"{where}: the store stopped: {database.failed}")
    story.put(b"after", b"1")
    if not database.wait_durable(database.appended_sequence, DEADLINE_SECONDS):
        raise Wrong(f"{where}: what was written afterwards does not become durable")
    _compare(story, database, f"{where}: the open store")
    file = core.log.live_file
    if file is not None and file.size != file.path.stat().st_size:
        real = file.path.stat().st_size
        raise Wrong(f"{where}: the log is thought to have {file.size} bytes, it has {real}")
    expected = 1
    for update in database.get_updates_since(1):
        if update.first_sequence != expected:
            raise Wrong(f"{where}: the log goes on at {update.first_sequence}, not at {expected}")
        expected = update.position.sequence + 1
    if expected != database.durable_sequence + 1:
        raise Wrong(f"{where}: the log ends at {expected - 1} of {database.durable_sequence}")
    try:
        # What nobody took is let go by a thread of its own.
        eventually(lambda: _held(database) == (0, [], {}, 0), DEADLINE_SECONDS)
    except AssertionError:
        raise Wrong(f"{where}: something is held for ever: {_held(database)}") from None
    database.create_checkpoint(story.directory / "copy")
    with replicad.open(story.directory / "copy", read_only=True) as copy:
        _compare(story, copy, f"{where}: the checkpoint")
    database.flush()
    database.compact()
    _compare(story, database, f"{where}: the compacted store")


def _held(database: Database) -> tuple[int, list[Any], dict[Sequence, int], int]:
    stats, pins = database.stats(), database._writer().core.pins
    return stats["snapshots"], stats["leases"], dict(pins.log_from()), len(pins)


def _check_again(story: Story, path: Path, where: str) -> None:
    with replicad.open(path) as again:
        _compare(story, again, f"{where}: opened again")
        if again.notes:
            raise Wrong(f"{where}: opened again with {again.notes}")
    backups = story.directory / "backups"
    if backups.exists():
        with BackupEngine(backups) as engine:
            for info in engine.get_backup_info():
                engine.restore_backup(info.id, story.directory / "restored")
                with replicad.open(story.directory / "restored", read_only=True) as restored:
                    if restored.get(b"00") != b"before":
                        raise Wrong(f"{where}: the restored backup lacks a key")


def _compare(story: Story, database: Database, what: str) -> None:
    for key, value in story.sure.items():
        if key not in story.perhaps and (got := database.get(key)) != value:
            raise Wrong(f"{what} has {got!r} for {key!r}, acknowledged was {value!r}")


class Injector:
    """Counts the bytecodes of the package's frames in this thread, and raises Interrupted at one of them.

    Frames of other threads are not interrupted: no signal's handler runs there.
    """

    def __init__(self, at: int | None) -> None:
        self.count = 0
        self.where = "nowhere"
        self._at = at

    def __enter__(self) -> Injector:
        sys.settrace(self._enter)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self.count += 1
            if self.count == self._at:
                sys.settrace(None)
                frame.f_trace = None
                code = frame.f_code
                file = code.co_filename.removeprefix(PACKAGE)
                self.where = f"{file}:{frame.f_lineno} {code.co_name}"
                raise Interrupted
        return self._step
