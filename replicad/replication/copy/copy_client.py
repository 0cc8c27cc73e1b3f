"""Reads a copy of a primary's files without being a replica: for a backup that streams to its target.

    HELLO, with the feature `copy-only` ─► list ─► pieces, over several connections ─► INSTALLED

The primary makes a copy for this session and holds no log for it; it goes with the session. Every call
belongs to the event loop that connected.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from replicad.env import Env
from replicad.errors import CorruptionError, NotFoundError, ProtocolError
from replicad.replication.copy.fetch import receive, receive_list
from replicad.replication.copy.staging import check_list
from replicad.replication.options import ReplicationOptions
from replicad.replication.ports import Dial
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.framing import PAYLOAD_BYTES_MAX
from replicad.replication.wire.headers import FileEntry
from replicad.replication.wire.identify import COPY_ONLY, SOFTWARE, VERSIONS, Identity, check_welcome
from replicad.replication.wire.keepalive import keep_alive
from replicad.replication.wire.messages import (
    Copy,
    Data,
    Decided,
    Fetch,
    Heartbeat,
    Hello,
    Installed,
    Join,
    PositionClaim,
)
from replicad.types import ORIGIN, DatabaseId, EpochRecord


class CopyClient:
    """One copy of one primary. Connections are made as they are needed, up to `connections_max`."""

    def __init__(self, env: Env, dial: Dial, options: ReplicationOptions, connections_max: int) -> None:
        self._env = env
        self._dial = dial
        self._options = options
        self._identity = Identity(env.random.bytes(16), env.random.bytes(16))
        self._left = connections_max
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        self._keeping: set[asyncio.Task[None]] = set()
        self._session: Connection | None = None
        self._connections: list[Connection] = []
        self.database_id: DatabaseId | None = None
        self.epochs: tuple[EpochRecord, ...] = ()
        self.copy: Copy | None = None
        self.entries: list[FileEntry] = []
        self._places: dict[str, int] = {}

    async def open(self) -> None:
        """Returns when the primary has made the copy and listed it. Raises RefusedError, ProtocolError,
        OSError."""
        options = self._options
        connection = await self._connect()
        me = self._identity

        connection.send(Hello(VERSIONS, me.node, me.process, None, (COPY_ONLY,), SOFTWARE, "backup"))
        async with asyncio.timeout(options.handshake_seconds):
            welcome = check_welcome(await receive(connection), me)

        if COPY_ONLY not in welcome.features:
            raise ProtocolError("the node is older: it would keep its log for this backup as for a replica")
        self.database_id, self.epochs = DatabaseId(welcome.database), welcome.epochs

        # The primary may take long to make the copy. Without heartbeats it would end the session as silent.
        self._keep(connection)
        connection.send(PositionClaim(None, 0, ()))
        decided = await receive(connection)
        if not isinstance(decided, Decided) or decided.outcome != "bootstrap":
            raise ProtocolError("the node does not offer a copy")

        connection.allow_payloads(PAYLOAD_BYTES_MAX)
        self.copy, self.entries = await receive_list(connection)
        check_list(self.entries, self.copy.bytes)

        self._places = {entry.name: index for index, entry in enumerate(self.entries)}

        # The session's own connection fetches too, so it counts as one of `connections_max`.
        self._session = connection
        self._left -= 1
        self._idle.put_nowait(connection)

    async def read(self, entry: int, offset: int, length: int) -> bytes:
        """Exactly `length` bytes of a file of the list, which has them."""
        async with self._taken() as connection:
            connection.send(Fetch(entry, offset, length))
            parts = []
            got = 0
            while got < length:
                data = await receive(connection)
                if not isinstance(data, Data) or (data.entry, data.offset) != (entry, offset + got):
                    raise ProtocolError(f"not the bytes of file {entry} from {offset + got} on")
                parts.append(data.payload)
                got += len(data.payload)
            if got != length:
                raise ProtocolError(f"{got} bytes came where {length} were asked for")
            return b"".join(parts)

    async def close(self) -> None:
        """Tells the primary that the copy may go."""
        if self._session is not None and self.copy is not None:
            self._session.send(Installed(self.copy.copy))
            with contextlib.suppress(ConnectionError):
                await self._session.drain()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for connection in self._connections:
            connection.close()

    @contextlib.asynccontextmanager
    async def _taken(self) -> AsyncIterator[Connection]:
        """A connection for one question; one that failed is not used again, and the error is raised."""
        if self._idle.empty() and self._left > 0:
            self._left -= 1
            connection = await self._join()
        else:
            connection = await self._idle.get()
        try:
            yield connection
        except BaseException:
            connection.close()
            self._left += 1
            raise
        self._idle.put_nowait(connection)

    async def _join(self) -> Connection:
        assert self.copy is not None
        connection = await self._connect()
        connection.allow_payloads(PAYLOAD_BYTES_MAX)
        connection.send(Join(self._identity.node, self._identity.process, self.copy.copy))
        self._keep(connection)
        return connection

    async def _connect(self) -> Connection:
        async with asyncio.timeout(self._options.connect_seconds):
            connection = await self._dial()
        self._connections.append(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        options = self._options

        async def keep() -> None:
            try:
                await keep_alive(
                    connection,
                    lambda: Heartbeat(ORIGIN, self._env.clock.wall_us()),
                    heartbeat_seconds=options.heartbeat_seconds,
                    idle_seconds=options.idle_seconds,
                    send_seconds=options.send_seconds,
                )
            finally:
                connection.close()

        self._keeping.add(asyncio.get_running_loop().create_task(keep()))

    def entry_of(self, name: str, size: int, sha256: bytes) -> int:
        """Its place in the list; raises NotFoundError and CorruptionError."""
        index = self._places.get(name)
        if index is None:
            raise NotFoundError(f"the list of files has no {name}")
        entry = self.entries[index]
        if (entry.size, entry.sha256) != (size, sha256):
            raise CorruptionError(f"the list has another {name} than the manifest", path=name)
        return index
