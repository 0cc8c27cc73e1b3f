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

from replicad.env import Env, FileSystem
from replicad.errors import CorruptionError, InvalidArgument, NewerFormatError, NotFoundError
from replicad.options import Options
from replicad.store.manifest.file import load
from replicad.store.opening import lock_directory
from replicad.store.options_file import option_files, read_options
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader, is_segment_name
from replicad.types import DatabaseId

STAGING = "restore"
ATTACHMENTS = "attachments"
_OUR_NAMES = frozenset(
    {"LOCK", STAGING, ATTACHMENTS, "wal", "archive", "bootstrap", "state", "CURRENT", "lost+found"}
)
_OUR_BEGINNINGS = ("MANIFEST-", "OPTIONS-")


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

    def present_id(self) -> DatabaseId | None:
        """Of the database that is there; None when there is none, or when it cannot be read any more."""
        try:
            return load(self._fs, self.path).database_id
        except (NotFoundError, CorruptionError, NewerFormatError):
            return None

    def _known_wal_dir(self) -> Path | None:
        names = option_files(self._fs, self.path)
        options = read_options(self._fs, self.path / names[-1])[0] if names else Options()
        return None if options.wal_dir is None else options.wal_dir.absolute()

    def _check_log(self, database_id: DatabaseId) -> None:
        if self.wal_dir is None:
            return
        known = {database_id, self.present_id()}
        for name in self._fs.list(self.wal_dir):
            if not is_segment_name(name):
                continue
            file = self._fs.open(self.wal_dir / name)
            try:
                other = SegmentHeader.decode(file.read(0, HEADER_BYTES)).database_id not in known
            except CorruptionError:
                continue
            finally:
                file.close()
            if other:
                raise InvalidArgument(
                    f"{self.wal_dir} holds the log of another database ({name}); name a directory of its own"
                )


def foreign_content(fs: FileSystem, path: Path) -> str | None:
    """What is wrong with a directory that has no database, and is not there for one either."""
    foreign = [name for name in fs.list(path) if not _is_ours(name)]
    if foreign and not fs.exists(path / "CURRENT"):
        return f"{path} holds {foreign[0]!r} and no database"
    return None


def _is_ours(name: str) -> bool:
    return name in _OUR_NAMES or name.startswith(_OUR_BEGINNINGS) or name.endswith((".sst", ".tmp"))
