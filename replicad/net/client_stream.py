"""A stream to the client port of a node, for programs that are not nodes."""

from __future__ import annotations

import asyncio
import ssl

from replicad.net.addresses import numeric


async def open_client_stream(
    host: str, port: int, *, context: ssl.SSLContext | None, limit: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises OSError. A host that begins with / is the path of a Unix socket, which has no TLS."""
    if host.startswith("/"):
        return await asyncio.open_unix_connection(host, limit=limit)
    return await asyncio.open_connection(host, port, ssl=context, limit=limit)


def reached_itself(writer: asyncio.StreamWriter) -> bool:
    """A free port in the ephemeral range can connect to itself."""
    return bool(writer.get_extra_info("sockname") == writer.get_extra_info("peername") != "")


def is_of_this_machine(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return True
    number = numeric(peer[0])
    return number is not None and number.is_loopback
