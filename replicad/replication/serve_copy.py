"""Sends the files of one copy over one session, as they are asked for."""

from __future__ import annotations

import asyncio

from replicad.env import Clock, FileSystem, ReadFile
from replicad.errors import CorruptionError, PeerTimeoutError, ProtocolError
from replicad.replication.connection import Connection
from replicad.replication.copies import SourceCopy
from replicad.replication.messages import Data, Fetch, Heartbeat, Installed
from replicad.replication.options import ReplicationOptions
from replicad.replication.tasks import in_thread


async def serve_copy(
    connection: Connection, copy: SourceCopy, fs: FileSystem, clock: Clock, options: ReplicationOptions
) -> bool:
    """Returns True when the replica has installed the copy. Files are asked for by their place in the list,
    never by name."""
    for part in copy.announcement():
        connection.send(part)
    while True:
        message = await connection.receive()
        if isinstance(message, Fetch):
            await _send_file(connection, copy, message, fs, clock, options)
        elif isinstance(message, Installed):
            if message.copy != copy.copy_id:
                raise ProtocolError("the replica installed another copy")
            return True
        elif not isinstance(message, Heartbeat):
            raise ProtocolError(f"{type(message).__name__} came in a bootstrap")


async def _send_file(
    connection: Connection,
    copy: SourceCopy,
    fetch: Fetch,
    fs: FileSystem,
    clock: Clock,
    options: ReplicationOptions,
) -> None:
    if fetch.entry >= len(copy.entries):
        raise ProtocolError(f"file {fetch.entry} of {len(copy.entries)} was asked for")
    entry = copy.entries[fetch.entry]
    if fetch.offset > entry.size:
        raise ProtocolError(f"offset {fetch.offset} of a file of {entry.size} bytes was asked for")
    file = await in_thread(fs.open, copy.path / entry.name)
    try:
        offset = fetch.offset
        while offset < entry.size:
            data = await _read(file, offset, min(options.file_chunk_bytes, entry.size - offset))
            connection.send(Data(fetch.entry, offset, data))
            offset += len(data)
            copy.sent_bytes += len(data)
            copy.used_at = clock.monotonic()
            try:
                async with asyncio.timeout(3 * options.idle_seconds):
                    await connection.drain()
            except TimeoutError:
                raise PeerTimeoutError(f"{connection.peer} takes nothing of {entry.name}") from None
    finally:
        file.close()


async def _read(file: ReadFile, offset: int, length: int) -> bytes:
    data = await in_thread(file.read, offset, length)
    if len(data) != length:
        raise CorruptionError("the file is shorter than its list says", path=file.path, offset=offset)
    return data
