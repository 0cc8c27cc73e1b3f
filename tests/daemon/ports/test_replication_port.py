"""The replication port: who is taken, and that nobody else stays connected."""

from __future__ import annotations

import asyncio

import pytest

import replicad.daemon.ports.replication_port
from replicad.daemon.ports.replication_port import ReplicationPort
from replicad.net.addresses import Address
from replicad.replication.wire.connection import TcpConnection


async def is_closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        return await reader.read(1) == b""


async def test_connections_over_the_limit_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They hear of it at once; those that were there first stay, and end with their sessions."""
    monkeypatch.setattr(replicad.daemon.ports.replication_port, "SESSIONS_MAX", 2)
    served: asyncio.Queue[TcpConnection] = asyncio.Queue()

    async def serve(connection: TcpConnection) -> None:
        served.put_nowait(connection)
        await asyncio.Event().wait()

    port = ReplicationPort(serve, lambda: True)
    address = await port.start(Address("127.0.0.1", 0))
    taken = [await asyncio.open_connection(*address) for _ in range(2)]
    for _ in taken:
        await served.get()
    refused = [await asyncio.open_connection(*address) for _ in range(20)]
    assert [await is_closed(reader) for reader, _ in refused] == [True] * 20
    assert not any(reader.at_eof() for reader, _ in taken)
    await port.end_sessions()
    assert [await is_closed(reader) for reader, _ in taken] == [True] * 2
    for _, writer in taken + refused:
        writer.close()
    await port.close()
