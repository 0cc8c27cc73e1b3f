"""What a replica's replication port answers: who its primary is.

A replica does not feed replicas. One that was given the wrong address learns the right one, instead of
finding nobody there.
"""

from __future__ import annotations

import asyncio

import structlog

from replicad.daemon.addresses import Address
from replicad.errors import ReplicadError
from replicad.replication.connection import TcpConnection
from replicad.replication.messages import Refuse

log = structlog.get_logger("replicad.daemon")

HELLO_SECONDS = 5.0
SESSIONS_MAX = 64


class ReferralPort:
    def __init__(self, primary: Address) -> None:
        self._primary = primary
        self._listener: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def start(self, address: Address) -> Address:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._accept, address.host, address.port)
        return Address(*self._listener.sockets[0].getsockname()[:2])

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in self._sessions:
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self) -> TcpConnection:
        connection = TcpConnection()
        loop = asyncio.get_running_loop()
        if len(self._sessions) >= SESSIONS_MAX:
            loop.call_soon(connection.close)
            return connection
        task = loop.create_task(self._refer(connection))
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        return connection

    async def _refer(self, connection: TcpConnection) -> None:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                await connection.receive()
            reason = f"this node is a replica and feeds nobody; its primary is {self._primary}"
            connection.send(Refuse("not-a-primary", reason, False))
            await connection.drain()
        except (ReplicadError, OSError, TimeoutError) as error:
            log.info("replication.session_ended", peer=connection.peer, reason=str(error))
        finally:
            connection.close()
