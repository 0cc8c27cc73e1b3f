"""What is backed up: one exact state, held while it is copied.

A running database gives a cut of itself; a cut may be given too, and stays the caller's; and so may the
directory of a checkpoint. Any other source (another machine's) is an object that keeps this protocol.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from replicad.env import Env
from replicad.errors import InvalidArgument, LockedError
from replicad.options import Options
from replicad.store.copies.cut import Cut
from replicad.store.core import Core
from replicad.store.database import Database
from replicad.store.directory.options_file import option_files, options_for_copy, read_options
from replicad.store.manifest.state import ManifestState
from replicad.store.open.closing import close_reading
from replicad.store.open.read_only import open_beside_writer
from replicad.store.reading import Snapshot
from replicad.store.table.meta import TableMeta
from replicad.store.wal.segment import HEADER_BYTES
from replicad.types import Position


class Readable(Protocol):
    """An open file of a source."""

    path: Path
    """For messages."""

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Fills `buffer`; how many bytes, fewer only at the end."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LogTail:
    """The first `length` bytes of a segment: whole frames through the position, or up to the next segment."""

    name: str
    length: int


class Source(Protocol):
    """Immutable while it is open; any thread may read."""

    position: Position
    state: ManifestState
    """The manifest of the copy: marked as a copy, its tables with their digests."""
    commit_time_us: int
    taken_us: int | None
    """When, on the wall clock, the state was this one; None when nobody knows."""
    options: bytes
    """The options file of the copy."""
    log: tuple[LogTail, ...]

    @property
    def snapshot(self) -> Snapshot: ...

    def open_table(self, meta: TableMeta) -> Readable: ...

    def open_log(self, tail: LogTail) -> Readable: ...

    def check(self) -> None:
        """Raises ClosedError, which says why, when what it holds was let go of before now."""
        ...

    def close(self) -> None: ...


class CutSource:
    """A cut of a running database; closed with it only when it is `owned`."""

    def __init__(self, env: Env, cut: Cut, *, owned: bool) -> None:
        self._fs = env.fs
        self._cut = cut
        self._owned = owned
        self.position = cut.position
        self.state = cut.state
        self.commit_time_us = cut.commit_time_us
        self.taken_us: int | None = cut.taken_us
        self.options = cut.options
        self._paths = {part.path.name: part for part in cut.log}
        self.log = tuple(LogTail(name, part.length) for name, part in self._paths.items())

    @property
    def snapshot(self) -> Snapshot:
        return self._cut.snapshot

    def open_table(self, meta: TableMeta) -> Readable:
        return self._open(self._cut.directory / meta.name)

    def open_log(self, tail: LogTail) -> Readable:
        part = self._paths[tail.name]
        try:
            return self._open(part.path)
        except FileNotFoundError:
            return self._open(part.path)  # It moved to the archive between the question and the opening.

    def check(self) -> None:
        self._cut.raise_if_closed()

    def close(self) -> None:
        if self._owned:
            self._cut.close()

    def _open(self, path: Path) -> Readable:
        try:
            return self._fs.open(path)
        except FileNotFoundError:
            self.check()
            raise


class DirectorySource:
    """A checkpoint, or any other copy that nobody has opened for writing, or a database on a file system that
    is mounted for reading: nobody changes it."""

    def __init__(self, env: Env, path: Path) -> None:
        self._fs = env.fs
        self._core, unknown_options = _open_copy(env, path)
        core = self._core

        self.position = core.written
        self.state = replace(core.state, copy=True)
        self.commit_time_us = core.commit_time_us
        self.taken_us: int | None = None
        self.options = options_for_copy(core.options, unknown_options)

        # Log that the tables hold is not part of the copy, and neither is a segment without a frame.
        segments = [
            segment
            for segment in core.catalog.segments()
            if segment.last_sequence > core.state.flushed.sequence and segment.size_bytes > HEADER_BYTES
        ]
        self._paths = {segment.path.name: segment.path for segment in segments}
        self.log = tuple(LogTail(segment.path.name, segment.size_bytes) for segment in segments)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self._core)

    def open_table(self, meta: TableMeta) -> Readable:
        return self._fs.open(self._core.path / meta.name)

    def open_log(self, tail: LogTail) -> Readable:
        return self._fs.open(self._paths[tail.name])

    def check(self) -> None:
        self._core.progress.raise_if_ended()

    def close(self) -> None:
        close_reading(self._core)


def _open_copy(env: Env, path: Path) -> tuple[Core, dict[str, Any]]:
    """With what its options file says and this version does not know."""
    names = option_files(env.fs, path)
    options, unknown = read_options(env.fs, path / names[-1]) if names else (Options(), {})
    core = open_beside_writer(path, options, env, "replica", None)
    if not core.state.copy and not _is_read_only(env, path):
        close_reading(core)
        raise InvalidArgument(
            f"{path} is a database and not a copy of one: open it and back up what is open, "
            "or make a checkpoint of it first"
        )
    return core, unknown


def _is_read_only(env: Env, path: Path) -> bool:
    """Whether nobody can write there, because the file system is mounted for reading."""
    try:
        env.fs.lock(path / "LOCK").release()
    except LockedError:
        return False
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def open_source(env: Env, what: Database | Cut | Source | str | Path, *, flush: bool) -> Source:
    """Close it when done. Raises InvalidArgument for what cannot be flushed, and what opening raises."""
    if isinstance(what, Database):
        return CutSource(env, what.cut(flush=flush, holder="backup"), owned=True)
    if flush:
        raise InvalidArgument("flush_before_backup needs an open database")
    if isinstance(what, Cut):
        return CutSource(env, what, owned=False)
    if isinstance(what, str | Path):
        return DirectorySource(env, Path(what))
    return what
