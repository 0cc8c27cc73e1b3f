"""Restoring, as one operation.

    look (what is here already) ─► gather ─► build ─► new attachments ─► put in place ─► changed attachments

Everything before the database is put in place leaves the one at the destination as it was, whatever fails. An
attempt that was cut short leaves what it has verified to the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from replicad.backup.archive.frames import Frames, read_line
from replicad.backup.archive.line import Piece
from replicad.backup.copying import Flow
from replicad.backup.meta import BackupMeta
from replicad.backup.names import BackupId
from replicad.backup.restore.destination import STAGED_ATTACHMENTS, Destination
from replicad.backup.restore.staging import Gathering, gather, look
from replicad.backup.restore.swap import build, place_attachments, put_in_place
from replicad.backup.target import Target
from replicad.env import Env
from replicad.errors import CorruptionError
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
    pieces: tuple[Piece, ...] = ()

    def plan(self) -> RestoreReport:
        """What `run` would do; changes nothing. Raises what it would raise before it begins."""
        self.destination.check(self.meta.database_id)
        self.destination.raise_if_in_use()
        database, attachments = self._look()
        position = None if self.pieces else self.meta.position
        return self._report(database, attachments, position, self.destination.present_id(), dry_run=True)

    def run(self) -> RestoreReport:
        """Raises LockedError, InvalidArgument, CorruptionError, DiskFullError, StoppedError."""
        destination, env, flow = self.destination, self.env, self.flow
        destination.check(self.meta.database_id)
        with destination.held():
            database, attachments = self._look()
            files, staged = destination.staging / "files", self._staged_attachments
            gather(env, self.target, files, self.meta.database_files, database, self.workers, flow)
            if self.meta.attachments:
                gather(env, self.target, staged, self.meta.attachments, attachments, self.workers, flow)
            built = destination.staging / "database"
            position = build(env, files, built, self.meta, self._log())
            self._check_goal(position)
            report = self._report(database, attachments, position, destination.present_id())
            flow.stop.check()
            paths = [file.path for file in self.meta.attachments]
            place_attachments(env, staged, destination.attachments, paths, replacing=False)
            options = [file.path for file in self.meta.database_files if file.path.startswith("OPTIONS-")]
            put_in_place(env, built, destination, files / options[0] if options else None)
            place_attachments(env, staged, destination.attachments, paths, replacing=True)
            env.fs.remove_tree(staged)
            env.fs.remove_tree(destination.staging)
            return report

    @property
    def _staged_attachments(self) -> Path:
        return self.destination.attachments / STAGED_ATTACHMENTS

    def _look(self) -> tuple[Gathering, Gathering]:
        fs, destination = self.env.fs, self.destination
        tables = {
            destination.path / name: fs.size(destination.path / name)
            for name in fs.list(destination.path)
            if name.endswith(".sst")
        }
        place = destination.attachments
        present = fs.files(place) if self.meta.attachments else {}
        staged = f"{STAGED_ATTACHMENTS}/"
        others = {place / name: size for name, size in present.items() if not name.startswith(staged)}
        files = destination.staging / "files"
        return (
            look(self.env, files, self.meta.database_files, tables, self.workers, self.flow),
            look(self.env, self._staged_attachments, self.meta.attachments, others, self.workers, self.flow),
        )

    def _log(self) -> Iterable[Frames]:
        for frames in read_line(self.target, self.pieces, self.meta.position):
            self.flow.stop.check()
            yield frames

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
            replaces=None if replaces is None else replaces.hex(),
            dry_run=dry_run,
        )
