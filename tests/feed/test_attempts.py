"""What a feed does about nodes that do not answer, or are not nodes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

import replicad
from replicad.errors import ConfigError
from tests.support.waiting import until

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def stranger(serve: Serve) -> AsyncIterator[str]:
    """The address of a program that is not a node."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_an_attempt_has_a_deadline_and_is_followed_by_another() -> None:
    """A node that takes connections and says nothing is asked again and again, until the end of the task."""
    open_now: list[asyncio.StreamWriter] = []

    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.append(writer)
        await reader.read()
        open_now.remove(writer)
        writer.close()

    failures: list[Exception] = []
    async with stranger(says_nothing) as address:
        feed = replicad.follow(address, since=1, attempt_seconds=0.05, on_retry=failures.append)
        waits = asyncio.create_task(anext(feed))
        await until(lambda: len(failures) >= 3)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        await until(lambda: not open_now)
    assert {str(each) for each in failures} == {f"{address}: no answer within 0.05 s"}


async def test_a_node_that_is_not_there_is_waited_for() -> None:
    """`connect` is for programs that want to know at once."""
    async with stranger(lambda reader, writer: asyncio.sleep(0)) as address:
        pass
    failures: list[Exception] = []
    feed = replicad.follow(address, on_retry=failures.append)
    with pytest.raises(ConnectionRefusedError):
        await feed.connect()
    waits = asyncio.create_task(anext(feed))
    await until(lambda: len(failures) >= 2)
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)


async def test_what_is_not_a_node_is_an_error() -> None:
    """Its answer is not RESP, or it does not know our commands."""

    async def speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def is_redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR unknown command 'REPLICAD.STATUS'\r\n")

    for serve in (speaks_http, is_redis):
        async with stranger(serve) as address, replicad.follow(address) as feed:
            with pytest.raises(replicad.ProtocolError, match=f"{address} is not"):
                await anext(feed)


def test_arguments_are_checked_before_anything_is_connected() -> None:
    """An address that is none, a sequence number below the first, and an acknowledgement without a slot."""
    with pytest.raises(ConfigError):
        replicad.follow("somewhere")
    with pytest.raises(replicad.InvalidArgument):
        replicad.follow(":6380", since=-1)
    with pytest.raises(replicad.InvalidArgument, match="no slot"):
        replicad.follow(":6380").acknowledge(replicad.Position.parse("1:1:00000000000000ff"))
