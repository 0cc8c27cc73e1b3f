"""One connection of a feed to the client port of a node: a command, then its reply.

A call that does not come to its end, by an error or a cancellation, closes the connection: nobody would know
which reply is the next one's.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, cast

import hiredis

from replicad.errors import InvalidArgument, LoginRefusedError, ProtocolError
from replicad.feed.refusals import error_of
from replicad.net.client_stream import is_of_this_machine, open_client_stream, reached_itself
from replicad.net.tls_errors import explain

READ_BYTES = 1 << 18
_NOTHING = object()
_MENDED_BY_TIME = frozenset({"UNEXPECTED_EOF_WHILE_READING", "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"})


@dataclass(frozen=True, kw_only=True)
class NodeAccess:
    """Where a node is, and who comes. A `host` that begins with / is the path of a Unix socket."""

    host: str
    port: int
    tls: ssl.SSLContext | bool | None = None
    """False says that a password may go over a network in clear text."""
    user: str | None = None
    password: str | bytes | None = None

    @property
    def address(self) -> str:
        if self.host.startswith("/"):
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self.tls is True else self.tls or None


class NodeConnection:
    def __init__(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.address = address
        self._reader = reader
        self._writer = writer
        self._parser = hiredis.Reader(notEnoughData=_NOTHING)
        self._was_answered = False

    @classmethod
    async def open(cls, access: NodeAccess) -> NodeConnection:
        """Connects and logs in; raises OSError, and LoginRefusedError for what time does not mend."""
        address = access.address
        try:
            reader, writer = await open_client_stream(
                access.host, access.port, context=access.context, limit=READ_BYTES
            )
        except ssl.SSLError as error:
            raise _tls_error(error, address) from None
        connection = cls(address, reader, writer)
        try:
            if reached_itself(writer):
                raise ConnectionRefusedError(f"{address}: connection refused")
            if access.password is not None:
                if access.tls is None and not is_of_this_machine(writer):
                    raise InvalidArgument(
                        f"{address}: the password would be sent in clear text: give ssl=, or ssl=False on a "
                        "network that nobody else is on"
                    )
                await connection.call(
                    "AUTH", *(() if access.user is None else (access.user,)), access.password
                )
        except BaseException:
            connection.abort()
            raise
        return connection

    async def call(self, *arguments: bytes | str | int, requested: int = 0) -> Any:
        """The reply. Raises OSError, and what the node's error amounts to (`error_of`)."""
        try:
            # hiredis declares the tuple as one of a single argument.
            self._writer.write(cast("bytes", hiredis.pack_command(cast("Any", arguments))))
            await self._writer.drain()
            reply = await self._receive()
        except ssl.SSLError as error:
            self.abort()
            raise _tls_error(error, self.address) from None
        except hiredis.ProtocolError as error:
            self.abort()
            raise ProtocolError(f"{self.address} is not the client port of a node: {error}") from None
        except BaseException:
            self.abort()
            raise
        if isinstance(reply, hiredis.HiredisError):
            raise error_of(str(reply), self.address, requested)
        return reply

    async def _receive(self) -> Any:
        while (reply := self._parser.gets()) is _NOTHING:
            data = await self._reader.read(READ_BYTES)
            if not data:
                why = "" if self._was_answered else " without an answer: does it speak TLS?"
                raise ConnectionResetError(f"{self.address}: the node closed the connection{why}")
            self._parser.feed(data)
            self._was_answered = True
        return reply

    def abort(self) -> None:
        """Closes the connection at once; what waits to be sent is not."""
        self._writer.transport.abort()


def _tls_error(error: ssl.SSLError, address: str) -> Exception:
    text = f"{address}: {explain(error)}"
    return ConnectionResetError(text) if error.reason in _MENDED_BY_TIME else LoginRefusedError(text)
