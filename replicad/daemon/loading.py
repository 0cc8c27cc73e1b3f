"""The client port of a replica that has no data yet.

An empty replica must not answer reads as if the keys were not there: everything but the status is -LOADING.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import hiredis

from replicad.daemon.addresses import Address

BUFFERED_BYTES_MAX = 64 * 1024
LOADING = b"-LOADING this replica has no data yet; REPLICAD.STATUS says how far it is\r\n"


class LoadingServer:
    """Answers REPLICAD.STATUS and QUIT, and says LOADING to the rest."""

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        self.status = status
        self.clients: set[asyncio.Transport] = set()
        self._listener: asyncio.Server | None = None

    async def start(self, address: Address) -> Address:
        """Listens; the address names the port when 0 was asked for."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Client(self), address.host, address.port)
        return Address(*self._listener.sockets[0].getsockname()[:2])

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for transport in list(self.clients):
            transport.close()

    def reply(self, command: list[bytes]) -> bytes:
        if command[0].upper() == b"REPLICAD.STATUS":
            document = json.dumps(self.status()).encode()
            return b"$%d\r\n%s\r\n" % (len(document), document)
        return LOADING


class _Client(asyncio.Protocol):
    def __init__(self, server: LoadingServer) -> None:
        self._server = server
        self._reader = hiredis.Reader()
        self._buffered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.clients.add(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.clients.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffered += len(data)
        if self._buffered > BUFFERED_BYTES_MAX:
            self._transport.abort()
            return
        try:
            self._reader.feed(data)
            while (command := self._reader.gets()) is not False:
                self._buffered = 0
                if not isinstance(command, list) or not command or not isinstance(command[0], bytes):
                    raise hiredis.ProtocolError("not a command")
                if command[0].upper() == b"QUIT":
                    self._transport.write(b"+OK\r\n")
                    self._transport.close()
                    return
                self._transport.write(self._server.reply(command))
        except hiredis.ProtocolError:
            self._transport.write(b"-ERR Protocol error\r\n")
            self._transport.close()
