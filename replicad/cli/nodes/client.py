"""A small blocking RESP client: what the verbs need to talk with a running node.

One connection, one thread. Every failure of the network is an UnreachableError that names the address; a
reply that is an error becomes a ReplyError.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from types import TracebackType
from typing import Any, cast

import hiredis

from replicad.cli.nodes.access import Access, NodeAddress
from replicad.env.reasons import reason_of
from replicad.errors import DoorFault, ReplyError, UnreachableError, WrongDoorError
from replicad.net.addresses import Address
from replicad.net.blocking import connect

CHUNK_BYTES = 1 << 18
GROUP_BYTES = 4 << 20
GROUP_COMMANDS = 512
"""How much of a pipeline is sent before its replies are read. Commands with long replies are short, so that a
group of them fits into the buffers of the sockets while the node waits for us to read."""
_NOTHING = object()

Argument = bytes | str | int


class Client:
    """A connection to the client port of a node."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        access: Access | None = None,
        timeout_seconds: float | None = 10.0,
    ) -> None:
        """Connects, and logs in. `timeout_seconds` bounds the connecting and each wait for a reply. A host
        that begins with / is a Unix socket."""
        self.address = NodeAddress(host, port).shown
        self._access = access or Access()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._was_answered = False
        try:
            self._socket = connect(host, port, timeout_seconds)
            self.peer: Hashable = host if host.startswith("/") else self._socket.getpeername()
            reached_itself = self._socket.getsockname() == self.peer
        except OSError as error:
            raise UnreachableError(f"{self.address}: {reason_of(error)}") from None
        if reached_itself:
            # A free port in the ephemeral range can connect to itself.
            self._socket.close()
            raise UnreachableError(f"{self.address}: connection refused")
        try:
            if self._access.wants_tls and not host.startswith("/"):
                from replicad.cli.nodes.tls import wrap

                self._socket = wrap(self._socket, self._access, host, self.address)
            self._log_in()
        except BaseException:
            self._socket.close()
            raise

    def _log_in(self) -> None:
        access = self._access
        if access.password_file is None:
            return
        if self._would_tell_the_network(access):
            raise UnreachableError(
                f"{self.address}: the password would be sent in clear text: --tls, or redis:// on a "
                "network that nobody else is on"
            )
        from replicad.net.secrets import read_secret

        secret = read_secret(access.password_file)
        self.call("AUTH", *(() if access.user is None else (access.user,)), secret)

    def _would_tell_the_network(self, access: Access) -> bool:
        """Whether a password would be sent in clear text, and nobody said so in as many words."""
        if access.wants_tls or access.tls is False or not isinstance(self.peer, tuple):
            return False
        return not Address(*self.peer[:2]).is_loopback

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def set_timeout(self, timeout_seconds: float | None) -> None:
        """From now on, how long a wait for a reply may take."""
        try:
            self._socket.settimeout(timeout_seconds)
        except OSError:
            raise UnreachableError(f"{self.address}: the node closed the connection") from None

    def call(self, *arguments: Argument) -> Any:
        """One command and its reply; raises ReplyError."""
        self._send(_pack(arguments))
        reply = self._reply()
        if isinstance(reply, hiredis.HiredisError):
            text = str(reply)
            name = str(arguments[0]).upper()
            if text.startswith("ERR unknown command") and name.startswith("REPLICAD."):
                text = f"{self.address} is not a node of replicad, or an older one: {text}"
            if text.startswith("NOAUTH"):
                text += " (--user, --password-file, or client.toml)"
            raise ReplyError(text)
        return reply

    def pipeline(self, commands: Iterable[tuple[Argument, ...]]) -> Iterator[Any]:
        """The replies of many commands, in order; errors are among them as ReplyError values.

        Commands are taken and sent in groups, and the replies of one group are read before
        the next is sent, so neither side has to buffer without bound.
        """
        group: list[bytes] = []
        size = 0
        for command in commands:
            packed = _pack(command)
            group.append(packed)
            size += len(packed)
            if size >= GROUP_BYTES or len(group) == GROUP_COMMANDS:
                yield from self._exchange(group)
                group, size = [], 0
        yield from self._exchange(group)

    def _ended(self) -> UnreachableError:
        """The node closed the connection: why, as far as that can be seen from here."""
        if self._was_answered or self.address.startswith("unix:"):
            return UnreachableError(f"{self.address}: the node closed the connection")
        if self._access.wants_tls:
            return WrongDoorError(
                f"{self.address}: closed the connection without an answer: is it the client port?",
                DoorFault.OTHER_PORT,
            )
        return WrongDoorError(
            f"{self.address}: closed the connection without an answer: does it speak TLS (--tls), or is it "
            "no client port?",
            DoorFault.OTHER_PORT_OR_TLS,
        )

    def _exchange(self, group: list[bytes]) -> Iterator[Any]:
        if not group:
            return
        self._send(b"".join(group))
        for _ in group:
            reply = self._reply()
            yield ReplyError(str(reply)) if isinstance(reply, hiredis.HiredisError) else reply

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._broken(error) from None

    def _reply(self) -> Any:
        try:
            while (reply := self._reader.gets()) is _NOTHING:
                data = self._socket.recv(CHUNK_BYTES)
                if not data:
                    raise self._ended()
                self._reader.feed(data)
                self._was_answered = True
        except OSError as error:
            raise self._broken(error) from None
        except hiredis.ProtocolError as error:
            raise WrongDoorError(
                f"{self.address}: it is not the client port of a node, which speaks RESP; perhaps its HTTP "
                f"port? ({error})",
                DoorFault.OTHER_PORT,
            ) from None
        return reply

    def _broken(self, error: OSError) -> UnreachableError:
        if self._access.wants_tls and not self.address.startswith("unix:"):
            from replicad.cli.nodes.tls import broken

            return broken(error, self.address)
        return UnreachableError(f"{self.address}: {reason_of(error)}")


def _pack(arguments: tuple[Argument, ...]) -> bytes:
    # Names of files may be any bytes; hiredis takes text that is UTF-8.
    plain = tuple(
        each.encode("utf-8", "surrogateescape") if isinstance(each, str) else each for each in arguments
    )
    # hiredis declares the tuple as one of a single argument.
    return cast("bytes", hiredis.pack_command(cast("Any", plain)))
