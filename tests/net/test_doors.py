"""Connections through doors, under both event loops: who comes in, who does not, what each side is told."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import weakref
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from structlog.testing import capture_logs

from replicad.env import events
from replicad.errors import ConfigError
from replicad.net.addresses import Address
from replicad.net.certificates import Certificate
from replicad.net.doors import CLEAR, Door, Doors, open_stream, peer_certificate
from replicad.net.handshakes import UNDER_WAY_MAX
from replicad.net.options import PortTls
from replicad.net.unix import listen_at
from tests.support.certificates import Authority
from tests.support.waiting import until

LOOPBACK = Address("127.0.0.1", 0)
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end. TLS is another code in each of the two loops."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


class Echo(asyncio.Protocol):
    """Answers what it gets, and says who it is from."""

    def __init__(self, seen: list[Certificate | None]) -> None:
        self._seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._seen.append(peer_certificate(transport))

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Telling(asyncio.Protocol):
    """Logs that somebody is connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        events.get_logger().info("connected")
        transport.close()


class BufferedEcho(asyncio.BufferedProtocol):
    """The same, reading into its own memory as the connections of nodes do."""

    def __init__(self, seen: list[Certificate | None]) -> None:
        self._inner = Echo(seen)
        # Not the bytearray itself: asyncio would read on into a copy of a part of it.
        self._buffer = memoryview(bytearray(1 << 16))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        self._inner.data_received(bytes(self._buffer[:size]))


class Greeting(asyncio.Protocol):
    """Speaks first, in clear text."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"-ERR who are you\r\n")


def _refusals(log: Sequence[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [entry for entry in log if entry["event"] == "net.tls_refused"]


async def _ask(door: Door, address: Address, question: bytes) -> bytes:
    reader, writer = await open_stream(door, address, 1 << 20)
    try:
        writer.write(question)
        return await reader.readexactly(len(question))
    finally:
        writer.close()


@pytest.mark.parametrize("kind", [Echo, BufferedEcho])
def test_nodes_talk(run: Run, ours: Authority, kind: type[Echo]) -> None:
    """Each has a certificate, and the one that is connected to sees the other's; large answers come whole."""

    async def talk() -> None:
        a, b = Doors(ours.options("a")).replication, Doors(ours.options("b")).replication
        seen: list[Certificate | None] = []
        listener, address = await a.listen(lambda: kind(seen), LOOPBACK)
        for question in (b"x", b"y" * 1_000_000):
            assert await _ask(b, address, question) == question
        assert [certificate and set(certificate.names) for certificate in seen] == [{"b"}, {"b"}]
        listener.close()

    run(talk())


def test_who_has_no_right_to_come_in(run: Run, ours: Authority, other: Authority) -> None:
    """Clear text, no certificate, one of another CA: one line here, and one there. Who breaks off because our
    CA is none of its own is not always heard: asyncio just goes away."""

    async def come() -> None:
        door = Doors(ours.options("a")).replication
        seen: list[Certificate | None] = []
        listener, address = await door.listen(lambda: Echo(seen), LOOPBACK)
        with capture_logs() as log:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await _ask(CLEAR, address, b"PING\r\n" * 10)

            bare = ssl.create_default_context(cafile=ours.ca)
            strange = ssl.create_default_context(cafile=ours.ca)
            strange.load_cert_chain(*other.node("b"))
            for context in (bare, strange):
                with pytest.raises((OSError, asyncio.IncompleteReadError)):
                    # With TLS 1.3 the refusal comes with the first answer, not in the handshake.
                    reader, writer = await asyncio.open_connection(*address, ssl=context)
                    writer.write(b"PING")
                    await reader.readexactly(4)

            with pytest.raises(ConnectionError, match=r"CA of the certificate is not in ca_file"):
                await _ask(Doors(other.options("b")).replication, address, b"x")
            await until(lambda: len(_refusals(log)) >= 3)
        assert [entry["reason"] for entry in _refusals(log)] == [
            "the other side does not speak TLS",
            "the other side showed no certificate",
            "the CA of the certificate is not in ca_file",
        ]
        assert all(entry["peer"].startswith("127.0.0.1:") for entry in _refusals(log))
        assert listener.handshakes is not None and listener.handshakes.refused == 3
        assert seen == []
        listener.close()

    run(come())


def test_the_one_that_is_connected_to_is_the_right_one(run: Run, ours: Authority) -> None:
    """By its host, or by its name where names are allowed."""

    async def connect() -> None:
        here, elsewhere = ours.options("a"), ours.node("b", host="10.9.9.9")
        b = replace(here, cert_file=elsewhere[0], key_file=elsewhere[1])
        listener, address = await Doors(b).replication.listen(lambda: Echo([]), LOOPBACK)
        with pytest.raises(ConnectionRefusedError, match=r"for 10\.9\.9\.9, b, not for 127\.0\.0\.1"):
            await _ask(Doors(here).replication, address, b"x")
        with pytest.raises(ConnectionRefusedError, match=r"tls\.allow has c"):
            await _ask(Doors(replace(here, allow=("c",))).replication, address, b"x")
        assert await _ask(Doors(replace(here, allow=("b",))).replication, address, b"x") == b"x"
        listener.close()

    run(connect())


def test_tls_to_a_port_in_clear_text(run: Run, ours: Authority) -> None:
    async def connect() -> None:
        listener, address = await CLEAR.listen(Greeting, LOOPBACK)
        with pytest.raises(ConnectionError, match="does not speak TLS"):
            await _ask(Doors(ours.options("a")).replication, address, b"x")
        listener.close()

    run(connect())


def test_what_is_not_of_this_machine_is_not_reached_in_clear_text() -> None:
    async def connect() -> None:
        with pytest.raises(ConnectionRefusedError, match=r"10\.0\.0\.1:1 is not a loopback address"):
            await CLEAR.dial(asyncio.Protocol, Address("10.0.0.1", 1))
        assert Door("x", None, insecure=True).refusal_of(Address("10.0.0.1", 1)) is None

    asyncio.run(connect())


def test_certificates_are_exchanged_under_load(run: Run, ours: Authority, other: Authority) -> None:
    """New connections get the new ones; those that are there stay; files that do not fit change nothing."""

    async def exchange() -> None:
        options = ours.options("a")
        doors, b = Doors(options), Doors(ours.options("b"))
        listener, address = await doors.replication.listen(lambda: Echo([]), LOOPBACK)
        reader, writer = await open_stream(b.replication, address, 1 << 20)

        assert options.key_file is not None
        good = options.key_file.read_bytes()
        options.key_file.write_bytes(other.node("a")[1].read_bytes())
        with pytest.raises(ConfigError, match="the key is not the certificate's"):
            doors.prepare(options)
        options.key_file.write_bytes(good)
        assert await _ask(b.replication, address, b"before") == b"before"

        # Another name under the same files.
        for made, known in zip(ours.node("c"), ours.node("a"), strict=True):
            known.write_bytes(made.read_bytes())
        doors.prepare(options)()
        with pytest.raises(ConnectionRefusedError, match=r"is for 127\.0\.0\.1, c"):
            await _ask(Doors(ours.options("b", allow=("a",))).replication, address, b"x")
        assert await _ask(b.replication, address, b"after") == b"after"

        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        writer.close()
        listener.close()

    run(exchange())


def test_a_port_does_not_change_from_clear_text_to_tls(ours: Authority) -> None:
    doors = Doors(ours.options("a", http=PortTls(enabled=False)))
    with pytest.raises(ConfigError, match="port for http cannot begin or cease"):
        doors.prepare(ours.options("a"))


def test_handshakes_that_do_not_come_to_an_end_are_bounded(
    run: Run, ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that say nothing are sent away after a time, and no more than so many wait at once."""
    monkeypatch.setattr("replicad.net.handshakes.UNDER_WAY_MAX", 3)
    monkeypatch.setattr("replicad.net.handshakes.HANDSHAKE_SECONDS", 0.5)

    async def wait() -> None:
        door = Doors(ours.options("a")).replication
        listener, address = await door.listen(lambda: Echo([]), LOOPBACK)
        with capture_logs() as log:
            silent = [socket.create_connection(address) for _ in range(5)]
            await until(lambda: len(_refusals(log)) == 5)
        reasons = [entry["reason"] for entry in _refusals(log)]
        assert reasons.count("too many handshakes are under way") == 2
        assert reasons.count("no handshake in time") == 3
        for each in silent:
            each.close()
        listener.close()

    assert UNDER_WAY_MAX > 100
    run(wait())


def test_who_stalls_many_handshakes_keeps_nobody_else_out(
    run: Run, ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest of the address that has most gives way."""
    monkeypatch.setattr("replicad.net.handshakes.UNDER_WAY_MAX", 4)
    monkeypatch.setattr("replicad.net.handshakes.HANDSHAKE_SECONDS", 60.0)

    async def come() -> None:
        doors = Doors(ours.options("a"))
        listener, address = await doors.replication.listen(lambda: Echo([]), LOOPBACK)
        with capture_logs() as log:
            silent = [socket.create_connection(address, source_address=("127.0.0.2", 0)) for _ in range(4)]
            handshakes = listener.handshakes
            assert handshakes is not None
            await until(lambda: len(handshakes._under_way) == 4)
            assert await _ask(doors.replication, address, b"x") == b"x"
            await until(lambda: len(_refusals(log)) == 1)
        (refusal,) = _refusals(log)
        assert refusal["peer"] == f"127.0.0.2:{silent[0].getsockname()[1]}"
        assert refusal["reason"] == "too many handshakes are under way"
        silent[0].settimeout(10)
        assert silent[0].recv(1) == b""
        for each in silent:
            each.close()
        listener.close()

    run(come())


def test_files_of_a_key_are_for_nobody_else(ours: Authority, tmp_path: Path) -> None:
    """Made so, whatever the umask is."""
    cert, key = ours.node("a")
    assert key.stat().st_mode & 0o777 == 0o600
    assert cert.stat().st_mode & 0o777 == 0o644
    assert not list(tmp_path.rglob("*.new"))


def test_a_listener_that_is_closed_keeps_nothing_of_its_server(run: Run, ours: Authority) -> None:
    """A node that fetches a new copy listens anew: with the former server goes all that it served."""

    class Served:
        def protocol(self) -> asyncio.Protocol:
            return Echo([])

    async def listen_again() -> None:
        door = Doors(ours.options("a")).clients
        served = Served()
        kept = weakref.ref(served)
        listener, address = await door.listen(served.protocol, LOOPBACK)
        listener.close()
        del listener, served

        def gone() -> bool:
            gc.collect()
            return kept() is None

        await until(gone)
        again, _ = await door.listen(lambda: Echo([]), address)
        again.close()

    run(listen_again())


def test_connections_have_no_fields_of_the_session_that_opened_the_port(run: Run, tmp_path: Path) -> None:
    """A replica opens its ports anew when a copy is installed: in the middle of a session."""

    async def main() -> None:
        events.bind(session=7)
        listener, address = await CLEAR.listen(Telling, LOOPBACK)
        unix = await listen_at(tmp_path / "s", 0o600, Telling)
        with capture_logs() as log:
            for open_it in (
                asyncio.open_connection(*address),
                asyncio.open_unix_connection(str(tmp_path / "s")),
            ):
                reader, writer = await open_it
                assert await reader.read() == b""
                writer.close()
        listener.close()
        unix.close()
        assert log == 2 * [{"event": "connected", "log_level": "info"}]

    run(main())
