"""A target behind a URL that fsspec knows: object stores, HDFS, memory.

What counts as written there is an upload that has completed. Nothing is cached: every listing asks the store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from replicad.backup.address import LOCAL_SCHEMES
from replicad.env.filesystem import Bytes
from replicad.env.reasons import reason_of
from replicad.errors import ConfigError, InvalidArgument, NotFoundError, ReplicadError, TargetError

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
"""Where there are buckets and no directories; a bucket is never made by the way."""
_PROBE = "tmp/clock"
"""Written to learn what time it is at the store."""
_SEEN_WHILE_WRITTEN = frozenset({"memory"})
"""Where a file that is being written can be seen: it is given at once."""


class FsspecTarget:
    """See `Target`."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise ConfigError(f"{url}: backups to URLs need fsspec: pip install 'replicad[remote]'") from None

        self.url = url
        try:
            fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{url}: {error}") from error

        if _is_local(fs):
            raise ConfigError(f"{url} is a directory of this machine: write its path, so that it is synced")

        self._fs: Any = fs
        self._root = str(root).rstrip("/")
        protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
        self._protocol = protocol
        self._at_once = protocol in _SEEN_WHILE_WRITTEN

    def list(self, prefix: str) -> dict[str, int]:
        with self._asking():
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._path(prefix), detail=True)
            except FileNotFoundError:
                found = {}
            if not found:
                self._check_bucket()
        skip = len(self._root) + 1
        return {name[skip:]: int(entry["size"]) for name, entry in found.items() if entry["type"] == "file"}

    def _check_bucket(self) -> None:
        """An empty listing may mean that there is no such bucket, and not that it is empty."""
        bucket = self._root.split("/")[0]
        if self._protocol not in OBJECT_STORES:
            return
        with self._asking():
            there = self._fs.exists(bucket)
        if not there:
            raise TargetError(f"{self.url}: there is no bucket {bucket!r}; make it, or write another URL")

    def size(self, name: str) -> int | None:
        with self._asking():
            self._fs.invalidate_cache()
            try:
                return int(self._fs.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            return b""
        end = None if length is None else offset + length
        with self._asking():
            try:
                return bytes(self._fs.cat_file(self._path(name), start=offset or None, end=end))
            except FileNotFoundError:
                raise NotFoundError(f"{self.url} holds no {name}") from None

    def write(self, name: str, chunks: Iterable[Bytes]) -> None:
        try:
            self._write(self._path(name), chunks)
        except FileNotFoundError:
            self._check_bucket()
            raise

    def _write(self, path: str, chunks: Iterable[Bytes]) -> None:
        # A file must not be seen before it is whole. Where one that is being written can be seen, it is
        # written in one request.
        if self._at_once:
            data = b"".join(bytes(chunk) for chunk in chunks)
            with self._asking():
                self._fs.pipe_file(path, data)
            return

        # Without `autocommit` the file appears with `commit`, and an upload that fails is discarded.
        with self._asking():
            if self._protocol not in OBJECT_STORES:
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            file = self._fs.open(path, "wb", autocommit=False)

        try:
            for chunk in chunks:
                with self._asking():
                    file.write(chunk)
            with self._asking():
                file.close()
        except BaseException:
            with contextlib.suppress(Exception):  # What is wrong was raised already.
                file.discard()
            raise

        with self._asking():
            file.commit()

    def delete(self, names: Iterable[str]) -> None:
        paths = [self._path(name) for name in names]
        if not paths:
            return
        with self._asking():
            try:
                self._fs.rm(paths)
            except FileNotFoundError:
                for path in paths:
                    with contextlib.suppress(FileNotFoundError):
                        self._fs.rm_file(path)

    def ages_seconds(self, names: Iterable[str]) -> dict[str, float]:
        """See `DatingTarget`: by the store's clock, if it tells when a file was written."""
        wanted = list(names)
        if not wanted:
            return {}

        # The store dates its files by its own clock, so a file written now tells what time it is there.
        self.write(_PROBE, [b"-"])
        found: dict[str, float] = {}
        try:
            with self._asking():
                now = self._fs.modified(self._path(_PROBE))
                for name in wanted:
                    with contextlib.suppress(FileNotFoundError):
                        found[name] = (now - self._fs.modified(self._path(name))).total_seconds()
        except (FileNotFoundError, NotImplementedError):
            return {}  # Somebody else asked at the same time, or nobody knows.
        finally:
            self.delete([_PROBE])

        return found

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Whatever the store's library raises becomes one TargetError that says what to look at."""
        try:
            yield
        except (ReplicadError, FileNotFoundError, NotImplementedError):
            raise
        except Exception as error:
            raise TargetError(f"{self.url}: {_explained(error)}") from error

    def remove_unfinished(self, age_seconds: float) -> int:
        """None can be seen: an upload that was cut short is the store's to expire."""
        return 0

    def _path(self, name: str) -> str:
        parts = name.rstrip("/").split("/") if name else []
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise InvalidArgument(f"{name!r} is not the name of a file at a target")
        return "/".join([self._root, *parts])


def _explained(error: Exception) -> str:
    """In one line, with what to do where that is known."""
    lines = str(error).splitlines()
    what = f"{type(error).__name__}: {lines[0]}" if lines else reason_of(error)
    if "Credential" in type(error).__name__ or "credentials" in what:
        return f"there are no credentials for it, or they are not complete ({what})"
    if isinstance(error, PermissionError):
        return f"access is refused; look at the credentials and at what they permit ({what})"
    if isinstance(error, OSError) or "Connect" in type(error).__name__ or "Timeout" in type(error).__name__:
        return f"it cannot be reached, or refuses ({what})"
    return what


def _is_local(fs: Any) -> bool:
    """Also behind a cache or a prefix: what is written there would be neither whole nor synced."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    inner = getattr(fs, "fs", None)
    return bool(protocols & LOCAL_SCHEMES) or (inner is not None and _is_local(inner))
