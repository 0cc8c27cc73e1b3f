"""The HTTP port of a node that was given one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from replicad.net.addresses import Address
from replicad.net.doors import Door
from replicad.server.access.login import Login


class HttpPort:
    """Does nothing until it is started, and loads the HTTP library only then."""

    def __init__(
        self,
        status: Callable[[], dict[str, Any]],
        load_registry: Callable[[], Any],
        door: Door,
        login: Login,
        names: Collection[str] = (),
    ) -> None:
        """`names` are hosts under which others ask this node."""
        self._door = door
        self._login = login
        self._names = names
        self._status = status
        self._load_registry = load_registry
        self.refused: Mapping[str, int] = {}
        """Connections and requests that it refused, by kind."""
        self._close: Callable[[], Any] | None = None

    async def start(self, address: Address) -> Address:
        from replicad.server.http import HttpServer

        server = HttpServer(self._status, self._load_registry(), self._login, {address.host, *self._names})
        self._close, self.refused = server.close, server.refused
        return await server.start(address, self._door)

    async def close(self) -> None:
        if self._close is not None:
            await self._close()
