"""A running primary as the source of a backup: files stream over its replication port to the target.

Nothing is stored here on the way. The connections belong to an event loop in a thread of its own; the threads
of the backup engine ask it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from replicad.backup.source import LogTail, Readable
from replicad.cli.nodes.access import NodeAddress
from replicad.cli.nodes.tls import replication_door
from replicad.env import Env
from replicad.env.filesystem import ReadFile
from replicad.env.read_only import ReadOnlyFileSystem
from replicad.env.reasons import reason_of
from replicad.errors import InvalidArgument, NotFoundError, ProtocolError, UnreachableError
from replicad.options import Options
from replicad.replication.copy.copy_client import CopyClient
from replicad.replication.options import ReplicationOptions
from replicad.replication.wire.connection import dial
from replicad.store.directory.options_file import encode_options
from replicad.store.manifest.file import load
from replicad.store.reading import Snapshot
from replicad.store.table.meta import TableMeta

Result = TypeVar("Result")


class RemoteSource:
    """Satisfies the backup's `Source`. Its position is that of a flush; its options file has the defaults."""

    def __init__(self, target: NodeAddress, connections_max: int) -> None:
        """Raises UnreachableError, and what replication raises."""
        self._where = target.shown
        self._door = replication_door(target.access)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replicad-remote", daemon=True)
        self._thread.start()
        try:
            self._client = self._ask(self._connect(target.host, target.port, connections_max))
            self.state = load(_Fetched(self._small_files()), Path("/"), of_copy=True)
        except BaseException as error:
            self._end()
            if isinstance(error, ProtocolError) or isinstance(error.__cause__, TimeoutError):
                raise UnreachableError(
                    f"{self._where} does not answer as a replication address; --from needs a primary's, "
                    "not where its clients connect"
                ) from error
            raise
        self.position = self.state.flushed
        self.commit_time_us = self.state.commit_time_us
        self.taken_us: int | None = None
        self.options = encode_options(Options(), {})
        self.log: tuple[LogTail, ...] = ()

    @property
    def snapshot(self) -> Snapshot:
        raise InvalidArgument("attachments need the database on this machine: the source is remote")

    def open_table(self, meta: TableMeta) -> Readable:
        entry = self._client.entry_of(meta.name, meta.size_bytes, meta.sha256)
        return _RemoteFile(self, Path(self._where) / meta.name, entry, meta.size_bytes)

    def open_log(self, tail: LogTail) -> Readable:
        raise NotFoundError(f"{self._where} sent no log")

    def check(self) -> None:
        pass

    def close(self) -> None:
        try:
            self._ask(self._client.close())
        finally:
            self._end()

    def read(self, entry: int, offset: int, length: int) -> bytes:
        return self._ask(self._client.read(entry, offset, length))

    async def _connect(self, host: str, port: int, connections_max: int) -> CopyClient:
        client = CopyClient(
            Env(), lambda: dial(host, port, self._door), ReplicationOptions(), connections_max
        )
        try:
            await client.open()
        except BaseException:
            await client.close()
            raise
        return client

    def _small_files(self) -> dict[str, bytes]:
        """Manifest and CURRENT."""
        return {
            entry.name: self.read(index, 0, entry.size)
            for index, entry in enumerate(self._client.entries)
            if not entry.name.endswith(".sst")
        }

    def _ask(self, question: Coroutine[Any, Any, Result]) -> Result:
        try:
            return asyncio.run_coroutine_threadsafe(question, self._loop).result()
        except OSError as error:
            text = reason_of(error)
            raise UnreachableError(text if self._where in text else f"{self._where}: {text}") from error

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _RemoteFile:
    def __init__(self, source: RemoteSource, path: Path, entry: int, size_bytes: int) -> None:
        self.path = path
        self._source = source
        self._entry = entry
        self._size_bytes = size_bytes

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        wanted = min(len(buffer), self._size_bytes - offset)
        data = self._source.read(self._entry, offset, wanted) if wanted > 0 else b""
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        pass


class _Fetched(ReadOnlyFileSystem):
    """The small files of the copy, for a reader of the manifest."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def read_file(self, path: Path) -> bytes:
        try:
            return self._files[path.name]
        except KeyError:
            raise FileNotFoundError(str(path)) from None

    def open(self, path: Path) -> ReadFile:
        _nothing_else()

    def list(self, path: Path) -> list[str]:
        return sorted(self._files)

    def files(self, path: Path) -> dict[str, int]:
        return {name: len(data) for name, data in self._files.items()}

    def exists(self, path: Path) -> bool:
        return path.name in self._files

    def size(self, path: Path) -> int:
        return len(self._files[path.name])


def _nothing_else() -> NoReturn:
    raise NotImplementedError("small files are read whole")
