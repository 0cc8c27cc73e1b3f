"""The replication port: accepts connections, in every role of the node; each is a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from replicad.env.events import bind, get_logger
from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Door, Listener
from replicad.replication.wire.connection import TcpConnection

log = get_logger("replicad.daemon")

DRAIN_SECONDS = 5.0
SESSIONS_MAX = 256


class ReplicationPort:
    """`serve` runs one connection to its end; `is_caught_up` is asked before the last of them are ended."""

    def __init__(
        self,
        serve: Callable[[TcpConnection], Coroutine[Any, Any, None]],
        is_caught_up: Callable[[], bool],
        door: Door = CLEAR,
    ) -> None:
        self._serve_to_its_end = serve
        self._is_caught_up = is_caught_up
        self.address = Address("", 0)
        """Where it listens, once it does."""
        self._door = door
        self._listener: Listener | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self._accepted = 0

    async def start(self, address: Address, *, accept: bool = True) -> Address:
        """Takes the address; OSError if another process has it. Without `accept` nobody is let in before the
        method `accept` is called."""
        self._listener, self.address = await self._door.listen(self._accept, address, accept=accept)
        return self.address

    async def accept(self) -> None:
        """Lets connections in from now on; does nothing if it does already, or has no address."""
        if self._listener is not None:
            await self._listener.accept()

    async def close(self) -> None:
        """Lets nobody in any more, and waits a few seconds until replicas have all that is durable."""
        if self._listener is not None:
            self._listener.close()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._is_caught_up():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.warning("replication.not_drained")
        await self.end_sessions()

    async def end_sessions(self) -> None:
        """Ends the connections; the replicas may connect again."""
        # A session that calls this must not wait for itself.
        me = asyncio.current_task()
        sessions = [task for task in self._sessions if task is not me]
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    async def _serve(self, connection: TcpConnection, number: int) -> None:
        bind(session=number)
        await self._serve_to_its_end(connection)

    def _accept(self) -> TcpConnection:
        connection = TcpConnection()
        if len(self._sessions) >= SESSIONS_MAX:
            log.warning("replication.too_many_sessions", sessions=len(self._sessions))
            connection.close()
            return connection
        self._accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(connection, self._accepted))
        self._sessions.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._sessions.discard(task)
            connection.close()  # also when it was cancelled before it began

        task.add_done_callback(ended)
        return connection
