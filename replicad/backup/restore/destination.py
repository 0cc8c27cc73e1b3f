"""Where a restore goes, and what is refused there: a directory in use, and one that holds something else.

    DIR/restore/files/                files of the backup, by content (`staging`)
    DIR/restore/database/             links to them, as they open; rebuilt by each attempt
    ATTACHMENTS/.replicad-restore/    the attachments, by content

That is what an interrupted restore leaves: the next one goes on from it, and nothing else looks at it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from replicad.backup.databases import Present, check_replaces
from replicad.backup.restore.foreign import ATTACHMENTS, STAGING, foreign_content
from replicad.env import Env
from replicad.errors import ConfigError, CorruptionError, InvalidArgument, NewerFormatError, NotFoundError
from replicad.options import Options
from replicad.store.directory.log_place import check_log_is_ours
from replicad.store.directory.options_file import option_files, read_options
from replicad.store.manifest.file import load
from replicad.store.open.opening import lock_directory
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader, is_segment_name
from replicad.types import DatabaseId


class Destination:
    """A directory that is to be replaced by a backup, and where its log and its attachments go."""

    def __init__(
        self, env: Env, path: Path, wal_dir: Path | None = None, attachments: Path | None = None
    ) -> None:
        """Without `wal_dir` it is the one that the database there was opened with last, if there is one."""
        self._env = env
        self._fs = env.fs
        self.path = path.absolute()
        given = self._known_wal_dir() if wal_dir is None else wal_dir.absolute()
        self.wal_dir = None if given == self.path / "wal" else given
        """None when it is the usual one, within the directory."""
        self.usual_attachments = self.path / ATTACHMENTS
        self.attachments = (attachments or self.usual_attachments).absolute()
        self.staging = self.path / STAGING
        self._daemon_lock = self.path / "state" / "daemon.lock"

    def check(self, database_id: DatabaseId) -> None:
        """Raises InvalidArgument where a restore of that database would remove what it must not."""
        if foreign := foreign_content(self._fs, self.path):
            raise InvalidArgument(f"{foreign}; name a new or empty directory, or a database to be replaced")
        try:
            check_replaces(self.present(), database_id)
        except InvalidArgument as error:
            raise InvalidArgument(f"{self.path}: {error}") from None
        self._check_log(database_id)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody opens it within the block. Raises LockedError, which names the process that has it."""
        fs = self._env.fs
        fs.make_directories(self.path)
        locks = [lock_directory(self._env, self.path, Options(wal_dir=self.wal_dir))]
        try:
            if fs.exists(self._daemon_lock):
                locks.append(fs.lock(self._daemon_lock))
            yield
        finally:
            for lock in locks:
                lock.release()

    def raise_if_in_use(self) -> None:
        """As `held` would, and makes nothing."""
        for file in (self.path / "LOCK", self._daemon_lock, (self.wal_dir or self.path) / "LOCK"):
            if self._fs.exists(file):
                self._fs.lock(file).release()

    def present(self) -> Present | None:
        """The database that is there. One whose manifest is damaged is known by its log; None when there is
        none, or nothing tells."""
        try:
            state = load(self._fs, self.path)
        except (CorruptionError, NewerFormatError):
            return self._known_by_log()
        except NotFoundError:
            return None
        return Present(state.database_id, None if state.parent is None else state.parent.database_id)

    def _known_by_log(self) -> Present | None:
        wal = self.wal_dir or self.path / "wal"
        found = {id for name in self._fs.list(wal) if (id := self._database_of(wal / name)) is not None}
        return Present(found.pop()) if len(found) == 1 else None

    def present_id(self) -> DatabaseId | None:
        present = self.present()
        return None if present is None else present.id

    def _known_wal_dir(self) -> Path | None:
        names = option_files(self._fs, self.path)
        options = read_options(self._fs, self.path / names[-1])[0] if names else Options()
        return None if options.wal_dir is None else options.wal_dir.absolute()

    def _check_log(self, database_id: DatabaseId) -> None:
        if self.wal_dir is None:
            return
        known = {database_id, self.present_id()}
        for name in self._fs.list(self.wal_dir):
            of = self._database_of(self.wal_dir / name)
            if of is not None and of not in known:
                raise InvalidArgument(
                    f"{self.wal_dir} holds the log of another database ({name}); name a directory of its own"
                )
        try:
            check_log_is_ours(self._fs, self.path, self.wal_dir)
        except ConfigError as error:
            raise InvalidArgument(str(error)) from None

    def _database_of(self, path: Path) -> DatabaseId | None:
        """Of a segment of log; None for anything else."""
        if not is_segment_name(path.name):
            return None
        file = self._fs.open(path)
        try:
            return SegmentHeader.decode(file.read(0, HEADER_BYTES)).database_id
        except (CorruptionError, NewerFormatError):
            return None
        finally:
            file.close()
