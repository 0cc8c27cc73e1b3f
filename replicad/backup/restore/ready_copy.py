"""A backup, and the archived log after it, as a directory that only has to be put in place.

    PLACE/files/       files of the backup, by content (`staging`): an attempt that was cut short leaves them
    PLACE/database/    the database without log, at one exact position; built anew by each attempt

Attachments belong to the application and stay at the target. The options of the backup stay there, too: a
node has its own. Everything blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from replicad.backup.archive.frames import read_line
from replicad.backup.archive.joined_log import LogPiece
from replicad.backup.copying import Flow
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.meta import BackupMeta
from replicad.backup.progress import Meter, Progress
from replicad.backup.restorable import check_list
from replicad.backup.restore.staging import gather, look
from replicad.backup.restore.swap import build
from replicad.backup.stop import OperationStop
from replicad.backup.target import Target
from replicad.env import Env, ThreadRateLimiter
from replicad.errors import CorruptionError
from replicad.options import MIB
from replicad.store.wal.frames import LogChunk
from replicad.types import Position

CHUNK_BYTES = MIB


@dataclass(frozen=True, slots=True)
class Done:
    """How far it is: files and bytes of the backup and of the log after it. What was here counts as done."""

    files: int
    files_total: int
    size_bytes: int
    size_bytes_total: int


@dataclass(frozen=True, slots=True)
class ReadyCopy:
    """`path` is what `store.copies.checkpoint.install` puts in place."""

    path: Path
    position: Position
    fetched_bytes: int
    log_bytes: int


class CopyMaker:
    """Makes one ready copy in `place`, and tells `report` how far it is, from any thread."""

    def __init__(
        self,
        env: Env,
        target: Target,
        meta: BackupMeta,
        pieces: tuple[LogPiece, ...],
        place: Path,
        *,
        workers: int,
        read_limit: ThreadRateLimiter,
        write_limit: ThreadRateLimiter,
        stop: OperationStop,
        report: Callable[[Done], None],
    ) -> None:
        self._env = env
        self._target = target
        self._meta = meta
        self._pieces = pieces
        self._place = place
        self._workers = workers
        self._read_limit = read_limit
        self._write_limit = write_limit
        self._stop = stop
        self._report = report
        self._log_bytes = sum(piece.object.size_bytes for piece in pieces)
        files = meta.database_files
        self._done = Done(
            0, len(files) + len(pieces), 0, sum(file.size_bytes for file in files) + self._log_bytes
        )

    def make(self) -> ReadyCopy:
        """Raises CorruptionError, which names the file, NotFoundError, DiskFullError, InvalidArgument for a
        target within the directory or around it, and StoppedError. What was verified stays in `place`."""
        env, meta, place = self._env, self._meta, self._place
        check_list(meta, self._target.url)
        if isinstance(self._target, DirectoryTarget):
            self._target.check_outside(place.parent)

        # What an earlier attempt left is read whole before it counts.
        files, staging = meta.database_files, place / "files"
        found = look(env, staging, files, {}, self._workers, self._flow(None))
        kept = replace(
            self._done,
            files=len(files) - len(found.missing),
            size_bytes=sum(file.size_bytes for file in files) - found.missing_bytes,
        )
        self._show(kept)

        def fetched(progress: Progress) -> None:
            self._show(
                replace(
                    kept,
                    files=kept.files + progress.files_done,
                    size_bytes=kept.size_bytes + progress.bytes_done,
                )
            )

        gather(env, self._target, staging, files, found, self._workers, self._flow(fetched), link=True)

        database = place / "database"
        names = {path: staging / name for path, name in found.names.items()}
        position = build(env, names, database, meta, self._log())
        goal = self._pieces[-1].through if self._pieces else meta.position.sequence
        if position.sequence != goal:
            raise CorruptionError(
                "the log ends elsewhere", path=self._target.url, expected=goal, got=position
            )

        self._show(replace(self._done, files=self._done.files_total, size_bytes=self._done.size_bytes_total))
        self._stop.check()
        return ReadyCopy(database, position, found.missing_bytes, self._log_bytes)

    def _log(self) -> Iterator[LogChunk]:
        for chunk in read_line(self._target, self._pieces, self._meta.position):
            self._stop.check()
            yield chunk
            size_bytes = min(self._done.size_bytes + len(chunk.frames), self._done.size_bytes_total)
            self._show(replace(self._done, size_bytes=size_bytes))

    def _show(self, done: Done) -> None:
        self._done = done
        self._report(done)

    def _flow(self, progress: Callable[[Progress], None] | None) -> Flow:
        return Flow(
            read_limit=self._read_limit,
            write_limit=self._write_limit,
            meter=Meter(self._env.clock, progress, CHUNK_BYTES),
            stop=self._stop,
            chunk_bytes=CHUNK_BYTES,
        )
