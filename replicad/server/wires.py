"""The two ways in which a client's bytes come and go, alike for the connection that stands on them.

    asyncio transport --> StreamWire ─┐
                                      ├─> ClientConnection
    socket of the kernel > SocketWire ┘

Clear-text sockets are the kernel's: it reads, executes and answers for many at once (`Rounds`), and Python
hears of one only when there is something to do for it. A transport carries what no socket can: TLS, and the
network of a simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from replicad import kernels
from replicad.env.events import get_logger
from replicad.net.addresses import shown_peer
from replicad.net.certificates import Certificate
from replicad.net.doors import is_tls, peer_certificate
from replicad.server.client_state import ClientState

log = get_logger()


TLS_BYTES = 256 * 1024
"""What TLS reads a connection's bytes into; counted as long as the connection is there."""


class WireListener(Protocol):
    """What a wire tells: `ClientConnection`."""

    client: ClientState

    def begin(self, wire: Wire) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def fed(self, found: list[list[bytes] | bytes] | None) -> None: ...
    def end(self) -> None: ...
    def full(self) -> None: ...
    def drained(self) -> None: ...
    def lost(self) -> None: ...


class Wire(Protocol):
    """What a connection asks of what carries its bytes."""

    @property
    def peer(self) -> str: ...

    @property
    def certificate(self) -> Certificate | None: ...

    @property
    def unsent_bytes(self) -> int: ...

    @property
    def is_closing(self) -> bool: ...

    def read(self, wanted: bool) -> None: ...

    def send(self) -> None:
        """Sends what is ready of the client's replies."""
        ...

    def close(self) -> None:
        """Closes when everything is sent."""
        ...

    def abort(self) -> None: ...


class NoWire:
    """That of a connection that is not there yet, or no more."""

    peer = ""
    certificate: Certificate | None = None
    unsent_bytes = 0
    is_closing = True

    def read(self, wanted: bool) -> None:
        pass

    def send(self) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class SocketIntake(asyncio.Protocol):
    """Lets a client in whose socket is to be the kernel's: the event loop accepts it and then lets go of it.

    `take_over` gets a descriptor, which it copies, and the peer's name; it may raise OSError.
    """

    def __init__(self, take_over: Callable[[int, object], None]) -> None:
        self._take_over = take_over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        try:
            self._take_over(transport.get_extra_info("socket").fileno(), transport.get_extra_info("peername"))
        except OSError as error:
            log.warning("server.client_not_taken", reason=str(error))
        finally:
            cast(asyncio.Transport, transport).abort()


class StreamWire(asyncio.Protocol):
    """A connection over a transport of the event loop."""

    def __init__(
        self, connection: WireListener, output_bytes_max: int, counts: kernels.CommandCounts
    ) -> None:
        self._connection = connection
        self._output_bytes_max = output_bytes_max
        self._counts = counts
        self._transport = cast(asyncio.Transport, None)
        self.peer = ""
        self.certificate: Certificate | None = None

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._output_bytes_max)
        self.peer = shown_peer(transport.get_extra_info("peername"))
        self.certificate = peer_certificate(transport)
        self._tls_bytes = TLS_BYTES if is_tls(transport) else 0
        self._connection.begin(self)

    def data_received(self, data: bytes) -> None:
        self._counts.input_bytes += len(data)
        self._connection.feed(data)

    def eof_received(self) -> bool:
        """A client that closed its side still gets the replies to what it sent; not over TLS, where the end
        of one side is that of the other, too."""
        self._connection.end()
        return not is_tls(self._transport)

    def pause_writing(self) -> None:
        self._connection.full()

    def resume_writing(self) -> None:
        self._connection.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()

    # What the connection asks.

    @property
    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size() + self._tls_bytes

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def read(self, wanted: bool) -> None:
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def send(self) -> None:
        output = self._connection.client.replies.take()
        self._counts.output_bytes += len(output)
        self._transport.write(output)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class SocketWire(kernels.ClientSocket):
    """A connection over a socket of the kernel."""

    def __init__(
        self, sockets: kernels.ClientSockets, fd: int, peername: object, connection: WireListener
    ) -> None:
        """Takes over the descriptor."""
        super().__init__(sockets, fd, connection.client.port)
        self.peer = shown_peer(peername)
        self.certificate: Certificate | None = None
        self.is_closing = False
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._was_full = self._was_ended = False

    def begin(self) -> None:
        """Reads from now on, unless the connection is refused."""
        self.read(True)
        self._connection.begin(self)

    def act(self, found: list[list[bytes] | bytes] | None) -> None:
        """Does what the kernel cannot, after it received or sent; `found` is what Python has to execute."""
        if not self.is_open:
            return
        if self.failed:
            self.abort()
            return
        connection = self._connection
        connection.fed(found)
        self.look()
        if self.ended and not self._was_ended:
            self._was_ended = True
            connection.end()

    def look(self) -> None:
        """Tells when much waits for the client, and when most of it is gone; ends when all was to be sent and
        is."""
        if self.is_full is not self._was_full:
            self._was_full = self.is_full
            if self._was_full:
                self._connection.full()
            else:
                self._connection.drained()
        if self.drains and not self.unsent_bytes:
            self._lose()

    @property
    def unsent_bytes(self) -> int:
        return self._connection.client.replies.ready_bytes

    def send(self) -> None:
        super().send()
        self.look()

    def close(self) -> None:
        self.is_closing = True
        self.read(False)
        if self.unsent_bytes:
            self.drains = True
        else:
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        self.is_closing = True
        self._loop.call_soon(self._lose)

    def _lose(self) -> None:
        if self.is_open:
            self.close_now()
            self._connection.lost()
