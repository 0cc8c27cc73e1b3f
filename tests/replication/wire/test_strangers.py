"""An operator who mistook one port for another is told which one answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from replicad.errors import ProtocolError
from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Doors
from replicad.replication.wire.connection import dial
from replicad.replication.wire.identify import Identity, Whereabouts, hello_from
from replicad.replication.wire.strangers import stranger
from tests.support.certificates import Authority

CASES = [
    (b"-ERR Protocol error: unbalanced quotes", "port for Redis clients"),
    (b"-NOAUTH Authentication required.", "port for Redis clients"),
    (b"+PONG", "port for Redis clients"),
    (b"HTTP/1.1 400 Bad Request", "an HTTP port"),
    (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS"),
    (b"SSH-2.0-OpenSSH_9.2", "an SSH server"),
]


@pytest.mark.parametrize("first, says", [*CASES, (bytes(16), None), (b"\x93\x11" * 8, None)])
def test_who_it_is(first: bytes, says: str | None) -> None:
    found = stranger(first)
    assert found is None if says is None else found is not None and says in found


@pytest.mark.parametrize("first, says", [case for case in CASES if len(case[0]) >= 16])
async def test_the_error_says_it(first: bytes, says: str) -> None:
    class Answering(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            cast(asyncio.Transport, transport).write(first + b"\r\n" * 20)

    listener, address = await CLEAR.listen(Answering, Address("127.0.0.1", 0))
    connection = await dial(*address)
    with pytest.raises(ProtocolError, match=says):
        await connection.receive()
    listener.close()


async def test_clear_text_to_a_port_that_speaks_tls(tmp_path: Path) -> None:
    """The replica's log says what to set."""
    door = Doors(Authority.make(tmp_path / "ca").options("a")).replication
    listener, address = await door.listen(asyncio.Protocol, Address("127.0.0.1", 0))
    connection = await dial(*address)
    connection.send(hello_from(Identity(bytes(16), bytes(16)), Whereabouts(), None, ()))
    with pytest.raises((ProtocolError, ConnectionError), match=r"speaks? TLS"):
        await connection.receive()
    listener.close()


async def test_what_cannot_be_reached_is_named() -> None:
    """With its address, and without numbers of errors."""
    with pytest.raises(ConnectionRefusedError, match=r"^127\.0\.0\.1:1: connection refused$"):
        await dial("127.0.0.1", 1)


async def test_an_address_that_is_taken_is_named_with_its_key() -> None:
    listener, address = await CLEAR.listen(asyncio.Protocol, Address("127.0.0.1", 0))
    with pytest.raises(OSError, match="another process listens there") as caught:
        await Doors().clients.listen(asyncio.Protocol, address)
    assert caught.value.filename == f"listen = {address}"
    listener.close()
