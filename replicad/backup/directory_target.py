"""A target that is a directory: write under `tmp/`, sync, rename, sync the directory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from replicad.backup.target import Target
from replicad.env import Env, is_no_room
from replicad.env.filesystem import Bytes
from replicad.errors import DiskFullError, InvalidArgument, NotFoundError

UNFINISHED = "tmp"
_OUR_DIRECTORIES = ("meta", "private", "shared_checksum", "attachments", "log", UNFINISHED)
_STAGED = re.compile(r"\d{16}-[0-9a-f]{16}")
"""The wall-clock time in microseconds when the write began, for people, and a random end."""


class DirectoryTarget:
    """See `Target`. Without `sync` a crash of the machine may lose what was written."""

    def __init__(self, env: Env, root: Path, *, sync: bool = True) -> None:
        self._env = env
        self._root = root.absolute()
        self._sync = sync
        self.url = str(self._root)

    @property
    def root(self) -> Path:
        return self._root

    def check_apart(self, *databases: Path | None) -> None:
        """Raises InvalidArgument where backups would lie among a database's files: of these directories, or
        of any database, whatever name leads there."""
        root = self._root.resolve()
        for directory in (root, *root.parents):
            if self._env.fs.exists(directory / "CURRENT"):
                raise InvalidArgument(
                    f"{self.url} is a database's directory, or within one ({directory}); backups need a "
                    "directory of their own"
                )
        for database in databases:
            if database is not None and (root.is_relative_to(database.resolve()) or self._is_ours(database)):
                raise InvalidArgument(
                    f"{self.url} and the database's directory {database} lie within each other; backups need "
                    "a directory of their own"
                )

    def check_outside(self, *places: Path | None) -> None:
        """Raises InvalidArgument for a directory that is the target's own, or among its files."""
        for place in places:
            if place is not None and (place.resolve() == self._root.resolve() or self._is_ours(place)):
                raise InvalidArgument(f"{place} lies within {self.url}: restore into a directory of its own")

    def _is_ours(self, place: Path) -> bool:
        root, place = self._root.resolve(), place.resolve()
        return any(place.is_relative_to(root / name) for name in _OUR_DIRECTORIES)

    def list(self, prefix: str) -> dict[str, int]:
        found = self._env.fs.files(self._path(prefix))
        return {
            prefix + name: size
            for name, size in found.items()
            if not (prefix + name).startswith(f"{UNFINISHED}/")
        }

    def size(self, name: str) -> int | None:
        try:
            return self._env.fs.size(self._path(name))
        except FileNotFoundError:
            return None

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        try:
            file = self._env.fs.open(self._path(name))
        except FileNotFoundError:
            raise NotFoundError(f"{self.url} holds no {name}") from None
        try:
            return file.read(offset, file.size() if length is None else length)
        finally:
            file.close()

    def write(self, name: str, chunks: Iterable[Bytes]) -> None:
        fs = self._env.fs
        path = self._path(name)
        staged = self._root / UNFINISHED / self._staged_name()

        try:
            fs.make_directories(staged.parent)
            try:
                file = fs.create(staged)
                try:
                    for chunk in chunks:
                        file.append(chunk)

                    # Before the rename: after a crash a name without its content would count as the whole
                    # file.
                    if self._sync:
                        file.sync()
                finally:
                    file.close()

                self._put(staged, path)
            except BaseException:
                fs.unlink(staged)
                raise

            # The new name is durable only when its directory is.
            if self._sync:
                fs.sync_directory(path.parent)
        except OSError as error:
            if is_no_room(error):
                raise DiskFullError(f"{path}: no room at the target") from error
            raise

    def _put(self, staged: Path, path: Path) -> None:
        fs = self._env.fs
        while True:
            fs.make_directories(path.parent)
            try:
                fs.rename(staged, path)
                return
            except FileNotFoundError:
                # Somebody removed the directory, which was empty; or the file, and then it is over.
                if not fs.exists(staged):
                    raise

    def delete(self, names: Iterable[str]) -> None:
        fs = self._env.fs
        parents = set()
        for name in names:
            path = self._path(name)
            if fs.exists(path):
                fs.unlink(path)
                parents.add(path.parent)
        if self._sync:
            for parent in parents:
                with contextlib.suppress(FileNotFoundError):  # Somebody else removed the last of it.
                    fs.sync_directory(parent)
        for parent in sorted(parents, reverse=True):
            self._prune(parent)

    def settle(self, names: Iterable[str]) -> None:
        """See `SettlingTarget`."""
        fs = self._env.fs
        parents = set()
        for path in map(self._path, names) if self._sync else ():
            with contextlib.suppress(FileNotFoundError):
                fs.sync_file(path)
                parents.add(path.parent)
        for parent in parents:
            fs.sync_directory(parent)

    def _prune(self, parent: Path) -> None:
        """Removes directories in which nothing is left. Whether that is so decides their removal itself:
        somebody may write there at any moment."""
        while parent.parent != self._root and parent != self._root and self._env.fs.remove_directory(parent):
            parent = parent.parent

    def ages_seconds(self, names: Iterable[str]) -> dict[str, float]:
        """See `DatingTarget`: by the clock of the file system."""
        return self._ages({name: self._path(name) for name in names})

    def _ages(self, paths: Mapping[str, Path]) -> dict[str, float]:
        if not paths:
            return {}

        fs = self._env.fs

        # A file written now tells the time by the same clock that dated the others: a file server need not
        # agree with the clock of this machine.
        probe = self._root / UNFINISHED / self._staged_name()
        fs.make_directories(probe.parent)
        try:
            fs.create(probe).close()
            now_ns = self._modified_ns(probe)
        finally:
            fs.unlink(probe)

        found = {}
        for name, path in paths.items():
            with contextlib.suppress(FileNotFoundError):
                found[name] = (now_ns - self._modified_ns(path)) / 1e9
        return found

    def _modified_ns(self, path: Path) -> int:
        file = self._env.fs.open(path)
        try:
            return file.stamp().modified_ns
        finally:
            file.close()

    def remove_unfinished(self, age_seconds: float) -> int:
        fs, directory = self._env.fs, self._root / UNFINISHED
        left = [name for name in fs.list(directory) if _STAGED.fullmatch(name)]
        if age_seconds > 0:
            ages = self._ages({name: directory / name for name in left})
            left = [name for name in left if ages.get(name, 0.0) >= age_seconds]
        for name in left:
            fs.unlink(directory / name)
        return len(left)

    def _staged_name(self) -> str:
        return f"{self._env.clock.wall_us():016d}-{self._env.random.bytes(8).hex()}"

    def _path(self, name: str) -> Path:
        parts = name.rstrip("/").split("/") if name else []
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise InvalidArgument(f"{name!r} is not the name of a file at a target")
        return self._root.joinpath(*parts)


def check_apart(target: Target, *databases: Path) -> None:
    """`DirectoryTarget.check_apart`, for any target."""
    if isinstance(target, DirectoryTarget):
        target.check_apart(*databases)
