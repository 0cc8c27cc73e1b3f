"""The TCP connection: order, back pressure, ends, damage."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from replicad.errors import ProtocolError
from replicad.replication.wire.connection import SEND_BUFFER_BYTES, UNREAD_BYTES_MAX, TcpConnection, dial
from replicad.replication.wire.messages import Ack, Data, LogFrames
from tests.support.waiting import let_tasks_run, until


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[TcpConnection, TcpConnection]]:
    """Both ends of a connection over the loopback, payloads allowed."""
    loop = asyncio.get_running_loop()
    accepted: list[TcpConnection] = []

    def accept() -> TcpConnection:
        accepted.append(TcpConnection())
        return accepted[-1]

    server = await loop.create_server(accept, "127.0.0.1", 0)
    left = await dial(*server.sockets[0].getsockname())
    await until(lambda: accepted and accepted[0].peer != "?")
    right = accepted[0]
    for end in (left, right):
        end.allow_payloads(1 << 26)
    try:
        yield left, right
    finally:
        left.close()
        right.close()
        server.close()


async def test_messages_arrive_in_order() -> None:
    """Small and large messages come out as they went in, and those that wait can be taken at once."""
    messages = [LogFrames(n, n, n, bytes([n]) * (n * 10_000)) for n in range(1, 30)]
    async with connected() as (left, right):
        for message in messages:
            left.send(message)
        assert [await right.receive() for _ in messages] == messages
        assert right.receive_ready() is None
        right.send(Ack(1, 1, 1))
        right.send(Ack(2, 2, 2))
        assert await left.receive() == Ack(1, 1, 1)
        await until(lambda: left.receive_ready() == Ack(2, 2, 2))


async def test_a_receiver_that_does_not_read_stops_the_sender() -> None:
    """What waits on both sides is bounded, and everything arrives once it is read."""
    count = 100
    async with connected() as (left, right):

        async def send() -> None:
            for number in range(count):
                left.send(Data(0, number, b"x" * 200_000))
                await left.drain()

        sending = asyncio.create_task(send())
        await until(lambda: right._paused and left._writable is not None)
        await let_tasks_run()
        assert not sending.done()
        assert right._unread_bytes < UNREAD_BYTES_MAX + 600_000
        assert right.idle_seconds() == 0.0
        for number in range(count):
            message = await right.receive()
            assert isinstance(message, Data)
            assert message.offset == number
        await sending


async def test_the_end_of_the_peer_is_an_error_after_its_last_message() -> None:
    """Messages that were sent before the end are still received; then a ConnectionError, again and again."""
    async with connected() as (left, right):
        left.send(Ack(1, 1, 1))
        left.close()
        assert await right.receive() == Ack(1, 1, 1)
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await right.receive()
        with pytest.raises(ConnectionError):
            await right.drain()
        right.send(Ack(2, 2, 2))
        left.send(Ack(2, 2, 2))


async def test_damage_is_a_protocol_error() -> None:
    """Bytes that are no message end the connection with a ProtocolError."""
    async with connected() as (left, right):
        assert left._transport is not None
        left._transport.write(b"\xff" * 64)
        with pytest.raises(ProtocolError):
            await right.receive()
        with pytest.raises(ConnectionError):
            await left.receive()


async def test_a_peer_that_takes_nothing_blocks_only_drain() -> None:
    """`send` never blocks; `drain` does while much waits, and ends when the connection does."""
    async with connected() as (left, right):
        right._transport_here().pause_reading()
        while left._writable is None:
            left.send(Data(0, 0, b"x" * SEND_BUFFER_BYTES))
        draining = asyncio.create_task(left.drain())
        await let_tasks_run()
        assert not draining.done()
        left._transport_here().abort()
        with pytest.raises(ConnectionError):
            await draining


async def test_a_port_where_nobody_listens_is_an_os_error() -> None:
    """A port where nobody listens is an OSError."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match=r"."):
            await dial(*one.getsockname())
