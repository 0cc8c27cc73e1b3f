"""The client port of a replica that has no data yet."""

from __future__ import annotations

import asyncio
import json

from replicad.daemon.addresses import Address
from replicad.daemon.loading import BUFFERED_BYTES_MAX, LoadingServer

STATUS = {"role": "replica", "position": None}


async def talk(data: bytes) -> bytes:
    """Sends bytes, and the end; returns what comes back."""
    server = LoadingServer(lambda: STATUS)
    address = await server.start(Address("127.0.0.1", 0))
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        await server.close()


def command(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


async def test_reads_are_refused_and_the_status_is_told() -> None:
    """GET is LOADING, not an absent key; the status document is there."""
    got = await talk(command(b"GET", b"k") + command(b"replicad.status") + command(b"QUIT"))
    refusal, size, document, goodbye, _ = got.split(b"\r\n")
    assert refusal.startswith(b"-LOADING ")
    assert size == b"$%d" % len(document)
    assert json.loads(document) == STATUS
    assert goodbye == b"+OK"


async def test_garbage_ends_the_connection() -> None:
    """What is no RESP is an error and the end; endless input is cut off."""
    assert await talk(b"GET / HTTP/1.1\r\n\r\n") == b"-ERR Protocol error\r\n"
    assert await talk(b"*1\r\n$999999999\r\n" + b"x" * BUFFERED_BYTES_MAX * 2) == b""
