"""Sends the files of one copy, as they are asked for: over its session, and over connections that join it."""

from __future__ import annotations

import asyncio
import contextlib

from replicad.env import Clock, FileSystem, ReadFile
from replicad.env.task_rate_limit import TaskRateLimiter
from replicad.errors import CorruptionError, PeerTimeoutError, ProtocolError
from replicad.replication.copy.copies import SourceCopy
from replicad.replication.copy.transfer import Transfer
from replicad.replication.options import ReplicationOptions
from replicad.replication.tasks import in_thread
from replicad.replication.traffic import Traffic
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.messages import Data, Fetch, Heartbeat, Installed, WantedFiles


class CopyServer:
    """One replica's copy. Files are asked for by their place in the list, never by name."""

    def __init__(
        self,
        copy: SourceCopy,
        fs: FileSystem,
        clock: Clock,
        throttle: TaskRateLimiter,
        options: ReplicationOptions,
        traffic: Traffic,
    ) -> None:
        self.copy = copy
        self._fs = fs
        self._clock = clock
        self._throttle = throttle
        self._options = options
        self._traffic = traffic
        self.connections: dict[Connection, None] = {}
        self.transfer: Transfer | None = None
        """Of what the replica said that it lacks; None before it did."""

    async def serve(self, connection: Connection) -> None:
        """The session itself: announces the copy, returns when the replica has installed it."""
        for part in self.copy.announcement():
            connection.send(part)
        await self._serve(connection)

    async def join(self, connection: Connection) -> None:
        """A connection more; ends only by an error or a cancellation."""
        self.connections[connection] = None
        try:
            await self._serve(connection)
        finally:
            self.connections.pop(connection, None)

    def close(self) -> None:
        """Ends the connections that joined."""
        for connection in self.connections:
            connection.close()

    async def _serve(self, connection: Connection) -> None:
        with contextlib.ExitStack() as opened:
            # A connection asks for the pieces of one file after another, so one open file is enough.
            held: tuple[int, ReadFile] | None = None
            while True:
                message = await connection.receive()
                if isinstance(message, Fetch):
                    if held is None or held[0] != message.entry:
                        opened.close()
                        held = (message.entry, await self._open(message))
                        opened.callback(held[1].close)
                    await self._send(connection, message, held[1])
                elif isinstance(message, WantedFiles):
                    self.transfer = Transfer(message.bytes, self._clock.monotonic())
                elif isinstance(message, Installed):
                    if message.copy != self.copy.copy_id:
                        raise ProtocolError("the replica installed another copy")
                    return
                elif not isinstance(message, Heartbeat):
                    raise ProtocolError(f"{message.KIND.name} came in a bootstrap")

    async def _open(self, fetch: Fetch) -> ReadFile:
        entries = self.copy.entries
        if fetch.entry >= len(entries):
            raise ProtocolError(f"file {fetch.entry} of {len(entries)} was asked for")
        return await in_thread(self._fs.open, self.copy.path / entries[fetch.entry].name)

    async def _send(self, connection: Connection, fetch: Fetch, file: ReadFile) -> None:
        entry = self.copy.entries[fetch.entry]
        end = fetch.offset + fetch.length if fetch.length else entry.size
        if not fetch.offset <= end <= entry.size:
            raise ProtocolError(f"{fetch.offset} to {end} of a file of {entry.size} bytes was asked for")

        offset = fetch.offset
        while offset < end:
            size = min(self._options.file_chunk_bytes, end - offset)

            # One rate for all copies that this node sends together.
            await self._throttle.take(size)
            data = await _read(file, offset, size)
            connection.send(Data(fetch.entry, offset, data))
            offset += len(data)
            self._sent(len(data))

            try:
                async with asyncio.timeout(3 * self._options.idle_seconds):
                    await connection.drain()
            except TimeoutError:
                raise PeerTimeoutError(f"{connection.peer} takes nothing of {entry.name}") from None

    def _sent(self, size: int) -> None:
        now = self._clock.monotonic()
        self.copy.sent_bytes += size
        self._traffic.copy_sent_bytes += size
        self.copy.used_at = now
        if self.transfer is not None:
            self.transfer.move(size, now)


async def _read(file: ReadFile, offset: int, length: int) -> bytes:
    data = await in_thread(file.read, offset, length)
    if len(data) != length:
        raise CorruptionError("the file is shorter than its list says", path=file.path, offset=offset)
    return data
