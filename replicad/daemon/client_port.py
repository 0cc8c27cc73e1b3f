"""What listens for clients: the store's server, or the one that says LOADING while there is no store.

A bootstrap exchanges the store under the server. The port stays the same, also when the system chose it.
"""

from __future__ import annotations

from collections.abc import Callable

from replicad.daemon.addresses import Address
from replicad.daemon.loading import LoadingServer
from replicad.env import Clock
from replicad.server import Node, RespServer, ServerOptions
from replicad.store.database import Database

DRAIN_SECONDS = 5.0


class ClientPort:
    def __init__(
        self,
        address: Address,
        node: Node,
        options: ServerOptions,
        clock: Clock,
        shutdown: Callable[[], None],
    ) -> None:
        self.address = address
        self._node = node
        self._options = options
        self._clock = clock
        self._shutdown = shutdown
        self._server: RespServer | LoadingServer | None = None
        self._draining: RespServer | None = None

    async def serve(self, database: Database) -> None:
        """Clients read (and write, where the node lets them) this database from now on."""
        await self.close()
        server = RespServer(
            database, self._node, shutdown=self._shutdown, options=self._options, clock=self._clock
        )
        self.address = Address(*await server.start(*self.address))
        self._server = server

    async def say_loading(self) -> None:
        """Clients are told that there is no data; returns when nobody uses the database any more."""
        await self.close()
        server = LoadingServer(self._node.status)
        self.address = await server.start(self.address)
        self._server = server

    @property
    def is_serving(self) -> bool:
        return isinstance(self._server, RespServer)

    def role_changed(self) -> None:
        """Whether writes are taken, and what is said of them otherwise, is another from now on."""
        for server in (self._server, self._draining):
            if isinstance(server, RespServer):
                server.role_changed()

    async def close(self) -> None:
        """Finishes the replies under way."""
        server, self._server = self._server, None
        if isinstance(server, RespServer):
            self._draining = server
            try:
                await server.close(DRAIN_SECONDS)
            finally:
                self._draining = None
        elif server is not None:
            await server.close()
