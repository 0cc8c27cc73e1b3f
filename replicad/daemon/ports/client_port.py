"""What listens for clients: the store's server, or a server that says LOADING while there is no store.

A bootstrap exchanges the store under the server. The port stays the same, also if the system chose it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

from replicad.daemon.ports.loading import LoadingServer
from replicad.env import Clock
from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Door, Listener
from replicad.server import Node, RespServer, ServerOptions
from replicad.server.access.login import Login
from replicad.server.access.users import Users
from replicad.store.database import Database

DRAIN_SECONDS = 5.0


class _Nobody(asyncio.Protocol):
    """Closes a connection that comes before the port serves."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


class ClientPort:
    def __init__(
        self,
        address: Address,
        node: Callable[[], Node],
        options: ServerOptions,
        clock: Clock,
        shutdown: Callable[[], None],
        door: Door = CLEAR,
        login: Login | None = None,
        unix: tuple[Path, int] | None = None,
    ) -> None:
        """`node` gives the node that the server asks; it is called when the first client may come."""
        self.address = address
        self._node = node
        self._options = options
        self._clock = clock
        self._shutdown = shutdown
        self._door = door
        self._unix = unix
        self._login = login or Login(Users({}))
        self._server: RespServer | LoadingServer | None = None
        self._draining: RespServer | None = None
        self._reserved: Listener | None = None

    async def reserve(self) -> None:
        """Takes the address, and lets nobody in; OSError if another process has it."""
        self._reserved, self.address = await self._door.listen(_Nobody, self.address, accept=False)

    def _release(self) -> None:
        """Gives the address free: the server that is started next listens there."""
        reserved, self._reserved = self._reserved, None
        if reserved is not None:
            reserved.close()

    async def serve(self, database: Database) -> None:
        """Serves this database to clients from now on."""
        await self.close()
        server = RespServer(
            database,
            self._node(),
            shutdown=self._shutdown,
            options=self._options,
            clock=self._clock,
            login=self._login,
        )
        self.address = await server.start(self.address, self._door, self._unix)
        self._server = server

    async def say_loading(self) -> None:
        """Tells clients that there is no data; returns when no client uses the database any more."""
        await self.close()
        server = LoadingServer(self._node().status, self._login)
        self.address = await server.start(self.address, self._door, self._unix)
        self._server = server

    def reconfigure(self, options: ServerOptions) -> None:
        """Takes over the limits that change at run time, for clients that are connected, too."""
        self._options = options
        if isinstance(self._server, RespServer):
            self._server.reconfigure(options)

    @property
    def is_serving(self) -> bool:
        return self.server is not None

    @property
    def server(self) -> RespServer | None:
        """What serves the data; None while there is none."""
        return self._server if isinstance(self._server, RespServer) else None

    def users_changed(self) -> None:
        """Ends the connections of users that are no more, or are others now."""
        for server in [self._server, self._draining]:
            if server is not None:
                server.users_changed()

    def role_changed(self) -> None:
        """Answers waiting and later writes by the node's new role."""
        # A server that drains still has writes that wait: they must not be acknowledged by the former role.
        for server in self._resp_servers():
            server.role_changed()

    def publish(self, channel: bytes, message: bytes) -> None:
        """Says this to the clients that have subscribed to the channel."""
        for server in self._resp_servers():
            server.publish(channel, message)

    def _resp_servers(self) -> list[RespServer]:
        """The one that serves, and one that drains."""
        both = (self._server, self._draining)
        return [server for server in both if isinstance(server, RespServer)]

    async def close(self) -> None:
        """Finishes the replies under way."""
        self._release()
        server, self._server = self._server, None
        if isinstance(server, RespServer):
            self._draining = server
            try:
                await server.close(DRAIN_SECONDS)
            finally:
                self._draining = None
        elif server is not None:
            await server.close()
