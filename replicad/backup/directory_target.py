"""A target that is a directory: write beside, sync, rename, sync the directory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from replicad.env import Env, is_no_room
from replicad.env.filesystem import Bytes
from replicad.errors import DiskFullError, InvalidArgument, NotFoundError

UNFINISHED = "tmp"
_STAGED = re.compile(r"(\d{16})-[0-9a-f]{16}")
"""The wall-clock time in microseconds when the write began, and a random end."""


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

    def check_apart(self, database: Path | None) -> None:
        """Raises InvalidArgument where backups would lie in a database: in that one, or in any."""
        if self._env.fs.exists(self._root / "CURRENT") or (database and self._root.is_relative_to(database)):
            raise InvalidArgument(
                f"{self.url} is a database's directory, or within one; backups need a directory of their own"
            )

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
                    if self._sync:
                        file.sync()
                finally:
                    file.close()
                fs.make_directories(path.parent)
                fs.rename(staged, path)
            except BaseException:
                fs.unlink(staged)
                raise
            if self._sync:
                fs.sync_directory(path.parent)
        except OSError as error:
            if is_no_room(error):
                raise DiskFullError(f"{path}: no room at the target") from error
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
        for parent in parents:
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
        """Removes the directory of a backup that has nothing left; nobody writes into one again."""
        parts = parent.relative_to(self._root).parts
        if len(parts) > 1:
            top = self._root.joinpath(*parts[:2])
            if not self._env.fs.files(top):
                self._env.fs.remove_tree(top)

    def remove_unfinished(self, before_us: int) -> int:
        fs = self._env.fs
        removed = 0
        for name in fs.list(self._root / UNFINISHED):
            begun = _STAGED.fullmatch(name)
            if begun is not None and int(begun[1]) < before_us:
                fs.unlink(self._root / UNFINISHED / name)
                removed += 1
        return removed

    def _staged_name(self) -> str:
        return f"{self._env.clock.wall_us():016d}-{self._env.random.bytes(8).hex()}"

    def _path(self, name: str) -> Path:
        parts = name.rstrip("/").split("/") if name else []
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise InvalidArgument(f"{name!r} is no name of a file at a target")
        return self._root.joinpath(*parts)
