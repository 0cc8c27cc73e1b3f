"""The rounds of the clients whose sockets are the kernel's: receive and execute, commit, answer.

    epoll ready --> receive (the kernel: all ready sockets) --> what is Python's --> submit the group --> send

One round is one group of writes and one pass of replies, whatever the number of clients. Replies that become
ready between two rounds (the disk synced, a replica acknowledged) are sent by `flush`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

from replicad import kernels
from replicad.env.events import get_logger
from replicad.server.server_state import ServerState
from replicad.server.wires import SocketWire, WireListener

log = get_logger()

ROUND_SECONDS = 0.003
ROUNDS = 4
"""Then other work of the loop has its turn."""


class Rounds:
    def __init__(self, server: ServerState, taken: Callable[[], int]) -> None:
        """`taken` says which commands the kernel may execute now."""
        self._server = server
        self._taken = taken
        self._sockets = kernels.ClientSockets(
            server.engine, server.stats.counts, server.options.output_bytes_max
        )
        self._relieve_at_unsent = server.options.buffered_bytes_max // 4
        self._is_watched = False

    def start(self) -> bool:
        """False where the event loop watches no descriptors: then there are transports only."""
        try:
            self._server.loop.add_reader(self._sockets.fileno(), self._go_rounds)
        except NotImplementedError:
            return False
        self._is_watched = True
        self._server.committer.on_released = self.flush
        return True

    def close(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._server.loop.remove_reader(self._sockets.fileno())

    def take_over(self, fd: int, peername: object, connection: WireListener) -> None:
        """Serves a client at a copy of this descriptor. Raises OSError."""
        own = os.dup(fd)
        try:
            wire = SocketWire(self._sockets, own, peername, connection)
        except BaseException:
            os.close(own)
            raise
        wire.begin()

    def flush(self) -> None:
        """Sends the replies that became ready."""
        for wire in self._sockets.send():
            cast(SocketWire, wire).look()

    def _go_rounds(self) -> None:
        # Clients that answer quickly are there again: a few more rounds spare the loop's own way around.
        now, usage = self._server.now, self._server.usage
        begun = now()
        ends_at = begun + ROUND_SECONDS
        for _ in range(ROUNDS):
            self._go_round(begun)
            ended = now()
            usage.add_reads(ended - begun)
            if not self._sockets.served or ended > ends_at:
                break
            begun = ended

    def _act(self, wire: SocketWire, found: list[list[bytes] | bytes] | None) -> None:
        """One client's failure is its own: what the others of this round sent is executed."""
        try:
            wire.act(found)
        except Exception as error:
            log.error("server.client_failed", client=wire.peer, exc_info=error)
            wire.abort()

    def _go_round(self, begun: float) -> None:
        server = self._server
        handed = self._sockets.receive(self._taken(), ROUND_SECONDS, server.relieve_at)
        server.usage.kernel_seconds += server.now() - begun
        if writes := server.usage.take_writes():
            server.committer.note_writes(begun, writes)
        for wire, found in handed:
            self._act(cast(SocketWire, wire), found)
        if server.group.batches:
            server.committer.submit()
        self.flush()

        # Memory is looked at by what came in, and by what has to stay because clients do not take it: a clock
        # would be too late for those that are quick.
        unsent = self._sockets.unsent_bytes
        if server.stats.counts.input_bytes > server.relieve_at or unsent > self._relieve_at_unsent:
            server.relieve()
            self._relieve_at_unsent = unsent + server.options.buffered_bytes_max // 4
        elif unsent < self._relieve_at_unsent // 2:
            self._relieve_at_unsent = unsent + server.options.buffered_bytes_max // 4
