"""A scripted life of a store on a recorded file system: what it was asked, and what it promised when.

The script keeps a model of what the store must hold after each batch. Its notes in the journal mark promises:
"floor" (the history through that rank was acknowledged, shipped or reported durable), "copy" (a copy was
reported complete), "leaving" (one that may go from now on), and "narrowed" (see `examine.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replicad import Options, WriteBatch, kernels
from replicad.store.core import Role
from replicad.store.database import Database, open_database
from replicad.types import ORIGIN, Position
from tests.crash.states import Medium
from tests.support.files.memory_filesystem import Image, MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.stores.small import SMALL

DATA = Path("/data")
Families = dict[str, dict[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the store holds at one position."""

    position: Position
    digest: bytes


@dataclass
class History:
    """Every state that the store goes through, oldest first; the rank of one is its index."""

    states: list[Expected] = field(default_factory=list)

    def rank(self, position: Position) -> int | None:
        return next((rank for rank, known in enumerate(self.states) if known.position == position), None)

    def rank_of_sequence(self, sequence: int) -> int:
        """The newest state that `sequence` covers whole."""
        return max(rank for rank, known in enumerate(self.states) if known.position.sequence <= sequence)


def options(**changes: Any) -> Options:
    """Everything small and in one thread's time; `durability` is "sync" unless said otherwise."""
    small = {**SMALL, "block_cache_bytes": 1 << 16, "log_disk_floor_bytes": 0, "segment_bytes": 4096}
    return Options(**{**small, **changes})


def digest_of(families: Mapping[str, Mapping[bytes, bytes]]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(families):
        digest.update(repr((name, sorted(families[name].items()))).encode())
    return digest.digest()


def content_of(database: Database) -> Families:
    return {name: dict(database.scan(family=id)) for name, id in database.families.items()}


class Script:
    """One store at `path`, opened; `image` is what was there before, all of it durable."""

    def __init__(
        self,
        opened_with: Options,
        *,
        role: Role = "owner",
        image: Image | None = None,
        path: Path = DATA,
        history: History | None = None,
        families: Families | None = None,
        seed: int = 1,
    ) -> None:
        self.fs = MemoryFileSystem(image)
        self.medium = Medium(self.fs)
        self.runner = InlineRunner()
        self.env = inline_env(self.fs, self.runner, seed)
        self.path = path
        self.role = role
        self.options = opened_with
        self.history = history or History([Expected(ORIGIN, digest_of({"default": {}}))])
        self.families: Families = families or {"default": {}}
        self.shipped = 0
        self.database = self._open()

    def _open(self) -> Database:
        database = open_database(self.path, self.options, env=self.env, role=self.role)
        return database

    # What a script says

    def put(self, key: bytes, value: bytes, family: str = "default") -> None:
        """Waits for its acknowledgement."""
        self.database.put(key, value, family=self.database.families[family])
        self.families[family][key] = value
        self._wrote()

    def delete(self, key: bytes) -> None:
        self.database.delete(key)
        self.families["default"].pop(key, None)
        self._wrote()

    def write(self, *pairs: tuple[bytes, bytes | None], annotation: bytes | None = None) -> None:
        """One batch; a pair of None deletes."""
        self.database.write(self._batch(pairs, annotation))
        self._wrote()

    def submit(self, *pairs: tuple[bytes, bytes | None]) -> None:
        """One batch that nobody waits for."""
        self.database.submit(self._batch(pairs, None))
        self._wrote()

    def _batch(self, pairs: tuple[tuple[bytes, bytes | None], ...], annotation: bytes | None) -> WriteBatch:
        batch = WriteBatch()
        if annotation is not None:
            batch.put_log_data(annotation)
        for key, value in pairs:
            if value is None:
                batch.delete(key)
                self.families["default"].pop(key, None)
            else:
                batch.put(key, value)
                self.families["default"][key] = value
        return batch

    def create_family(self, name: str) -> None:
        self.database.create_family(name)
        self.families[name] = {}
        self._wrote()

    def drop_family(self, name: str) -> None:
        self.database.drop_family(self.database.families[name])
        del self.families[name]
        self._wrote()

    def promote(self) -> None:
        """The record of the epoch is a batch that changes no content."""
        self.database.promote(self.env.random.bytes(16))
        self._wrote()

    def demote(self) -> None:
        self.database.demote()
        self.promise()

    def apply(self, frames: bytes) -> None:
        """A replica's batch; the history is its primary's."""
        self.database.apply_frames(frames)
        self.promise()

    def flush(self) -> None:
        self.database.flush()
        self.promise()

    def compact(self) -> None:
        self.database.compact()
        self.promise()

    def run(self) -> None:
        """Background work, all of it."""
        self.runner.run_all()
        self.promise()

    def copied(self, name: str, position: Position) -> None:
        """A copy was reported complete."""
        self.fs.note("copy", (name, position))

    def reopen(self) -> None:
        self.close()
        self.database = self._open()
        self.promise()

    def close(self) -> None:
        self.database.close()
        self.fs.note("floor", self.history.rank(self.database.position))

    # Promises

    def _wrote(self) -> None:
        self.history.states.append(Expected(self.database.position, digest_of(self.families)))
        self.promise()

    def promise(self) -> None:
        """What was acknowledged, shipped or reported durable by now must survive from here on."""
        self.fs.note("floor", self.history.rank_of_sequence(self.database.durable_sequence))
        for position in self._ship():
            rank = self.history.rank(position)
            assert rank is not None, f"{position} was shipped, and nobody wrote it"
            self.fs.note("floor", rank)

    def _ship(self) -> Iterator[Position]:
        cursor = self.database.read_log(self.shipped + 1)
        while (chunk := cursor.next()) is not None:
            self.shipped = chunk.last_sequence
            yield chunk.position
        cursor.close()


def end_of_log(database: Database) -> Position | None:
    """Where all of its log leads, read without a gap; its own position when it has none."""
    position, oldest = database.position, database.oldest_log_sequence
    reached = None
    cursor = database.read_log(oldest)
    while (chunk := cursor.next()) is not None:
        reached = chunk.position
    return position if oldest > position.sequence else reached


def frames_of(database: Database, start: int = 1) -> list[bytes]:
    """The durable frames from `start` on, one by one."""
    frames: list[bytes] = []
    cursor = database.read_log(start)
    while (chunk := cursor.next()) is not None:
        rest = chunk.frames
        while rest:
            length = kernels.FRAME_HEADER_BYTES + int.from_bytes(rest[4:8], "little")
            frames.append(rest[:length])
            rest = rest[length:]
    cursor.close()
    return frames


class BesideBackground:
    """While it is entered, `write` is called at every operation of the file system that background work
    does without holding the writers up: what a writer beside it would do."""

    def __init__(self, script: Script, write: Callable[[], None]) -> None:
        self._script = script
        self._write = write
        self._within = False

    def __enter__(self) -> None:
        self._before = self._script.fs.before
        self._script.fs.before = self._look

    def __exit__(self, *exc: object) -> None:
        self._script.fs.before = self._before

    def _look(self, call: str, path: Path, size: int) -> None:
        core = self._script.database._writer().core
        busy = core.write_lock._is_owned() or core.version_lock.locked()  # type: ignore[attr-defined]
        if self._within or busy or call in ("open", "read", "list"):
            return
        self._within = True
        try:
            self._write()
        finally:
            self._within = False
