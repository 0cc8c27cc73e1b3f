"""Restoring, as one operation.

    look (what is here already) ─► gather ─► build ─► new attachments ─► put in place ─► changed attachments

Everything before the database is put in place leaves the one at the destination as it was, whatever fails. An
attempt that was cut short leaves what it has verified to the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from replicad.backup.archive.frames import read_line
from replicad.backup.archive.joined_log import LogPiece
from replicad.backup.attachment_names import STAGING
from replicad.backup.copying import Flow
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.meta import BackupMeta
from replicad.backup.names import BackupId
from replicad.backup.restorable import check_list
from replicad.backup.restore import attachments as places
from replicad.backup.restore.destination import Destination
from replicad.backup.restore.staging import Gathering, gather, look
from replicad.backup.restore.swap import build, put_in_place
from replicad.backup.target import Target
from replicad.env import Env
from replicad.errors import CorruptionError
from replicad.store.wal.frames import LogChunk
from replicad.types import DatabaseId, Position, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What was restored, or would be. Files that were here already are kept, the others fetched."""

    id: BackupId
    path: Path
    wal_dir: Path | None
    """None when the log goes into the directory itself."""
    attachments: Path | None
    """None when there are none."""
    position: Position | None
    """The exact state that opens; None for a dry run that ends within the archived log."""
    sequence: Sequence
    size_bytes: int
    kept_bytes: int
    kept_files: int
    fetched_bytes: int
    fetched_files: int
    log_bytes: int
    """Of the objects of the archived log that are read."""
    log_end: Sequence | None
    """Through where the archived log goes on after `sequence`; None when it does not."""
    stood_still: tuple[Sequence, Sequence] | None
    """For a time: the numbers after `sequence`, both included, that have one later commit time, because a
    clock had been ahead. Some of them may have been committed before the time that was asked for."""
    replaces: str | None
    """Id of the database that is replaced; None when nothing that can be read is there."""
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """Everything that one restore needs to know."""

    env: Env
    target: Target
    meta: BackupMeta
    destination: Destination
    flow: Flow
    workers: int
    pieces: tuple[LogPiece, ...] = ()
    log_end: Sequence | None = None
    stood_still: tuple[Sequence, Sequence] | None = None

    def plan(self) -> RestoreReport:
        """What `run` would do; changes nothing. Raises what it would raise before it begins."""
        self._check()
        self.destination.raise_if_in_use()
        database, attachments = self._look()
        position = None if self.pieces else self.meta.position
        return self._report(database, attachments, position, self.destination.present_id(), dry_run=True)

    def run(self) -> RestoreReport:
        """Raises LockedError, InvalidArgument, CorruptionError, DiskFullError, StoppedError."""
        destination, env, flow = self.destination, self.env, self.flow
        self._check()

        # Held to the end, so that no process opens the database while it is being replaced.
        with destination.held():
            database, attachments = self._look()

            # Nobody changes a table, so tables may be hard links to what is here. Attachments belong to the
            # application, which may write into them: each becomes a file of its own.
            gather(
                env,
                self.target,
                self._staged_files,
                self.meta.database_files,
                database,
                self.workers,
                flow,
                link=True,
            )
            if attachments.names:
                gather(
                    env,
                    self.target,
                    self._staged_attachments,
                    self.meta.attachments,
                    attachments,
                    self.workers,
                    flow,
                    link=False,
                )

            files = {path: self._staged_files / name for path, name in database.names.items()}
            staged = {path: self._staged_attachments / name for path, name in attachments.names.items()}
            built = destination.staging / "database"
            position = build(env, files, built, self.meta, self._log())
            self._check_goal(position)

            # The report names the database that is replaced, so it is made while that one is still there.
            report = self._report(database, attachments, position, destination.present_id())

            flow.stop.check()

            # New attachments go before the database, and those that replace a file after it: until the
            # database is replaced, whatever fails leaves the old one with its attachments as they were.
            place = destination.attachments
            places.settle(env.fs, place, attachments.in_place)
            places.put_in_place(env.fs, place, staged, replacing=False)
            options = [path for path in files if path.startswith("OPTIONS-")]
            put_in_place(env, built, destination, files[options[0]] if options else None)
            places.put_in_place(env.fs, place, staged, replacing=True)

            # Last of all: an attempt that is cut short before this leaves what it has verified to the next
            # one.
            if self.meta.attachments:
                env.fs.remove_tree(self._staged_attachments)
            env.fs.remove_tree(destination.staging)
            return report

    def _check(self) -> None:
        check_list(self.meta, self.target.url)
        self.destination.check(self.meta.database_id)
        root = None
        if isinstance(self.target, DirectoryTarget):
            root = self.target.root
            self.target.check_outside(self.destination.path, self.destination.wal_dir)
        places.check_places(self.env, self.destination, self.meta.attachments, root)

    @property
    def _staged_files(self) -> Path:
        return self.destination.staging / "files"

    @property
    def _staged_attachments(self) -> Path:
        return self.destination.attachments / STAGING

    def _look(self) -> tuple[Gathering, Gathering]:
        env, destination, meta = self.env, self.destination, self.meta
        tables = {
            destination.path / name: env.fs.size(destination.path / name)
            for name in env.fs.list(destination.path)
            if name.endswith(".sst")
        }
        place = destination.attachments
        there = places.present(env.fs, place, meta.attachments)
        staged = self._staged_attachments
        return (
            look(env, self._staged_files, meta.database_files, tables, self.workers, self.flow),
            look(env, staged, meta.attachments, there, self.workers, self.flow, place=place),
        )

    def _log(self) -> Iterable[LogChunk]:
        for chunk in read_line(self.target, self.pieces, self.meta.position):
            self.flow.stop.check()
            yield chunk

    def _check_goal(self, position: Position) -> None:
        goal = self.pieces[-1].through if self.pieces else self.meta.position.sequence
        if position.sequence != goal:
            raise CorruptionError("the log ends elsewhere", path=self.target.url, expected=goal, got=position)

    def _report(
        self,
        database: Gathering,
        attachments: Gathering,
        position: Position | None,
        replaces: DatabaseId | None,
        *,
        dry_run: bool = False,
    ) -> RestoreReport:
        meta, missing = self.meta, (*database.missing, *attachments.missing)
        fetched = sum(file.size_bytes for file in missing)

        return RestoreReport(
            id=meta.id,
            path=self.destination.path,
            wal_dir=self.destination.wal_dir,
            attachments=self.destination.attachments if meta.attachments else None,
            position=position,
            sequence=self.pieces[-1].through if self.pieces else meta.position.sequence,
            size_bytes=meta.size_bytes,
            kept_bytes=meta.size_bytes - fetched,
            kept_files=len(meta.files) - len(missing),
            fetched_bytes=fetched,
            fetched_files=len(missing),
            log_bytes=sum(piece.object.size_bytes for piece in self.pieces),
            log_end=self.log_end,
            stood_still=self.stood_still,
            replaces=None if replaces is None else replaces.hex(),
            dry_run=dry_run,
        )
