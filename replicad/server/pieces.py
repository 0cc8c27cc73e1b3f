"""Commands that change what they have looked at, and take longer than a turn: they go on in pieces.

    handler ──> work (a generator) ──first turn──> done: the reply
                                       └─ pauses ──> others have their turns <──> the next piece ──> the reply

What such work sees must stand still until it writes, as in Redis, where nothing comes in between. So from
its first pause to its end the writes of others wait (`Command.waits_for_pieces`); what they read is served.
When the role of the node changes meanwhile, or a group of writes is refused, what the work saw is not true
any more: it ends with TRYAGAIN, and nothing of it is written. The loop's thread owns everything here.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from replicad.server import refusals

if TYPE_CHECKING:
    from replicad.server.connection import ClientConnection
    from replicad.server.server import RespServer

Pause = Future[Any] | None
"""What the next piece has to wait for: what a thread does, or only that others have had their turn."""
Work = Generator[Pause, None, bytes]
"""Yields where others may have their turn (`ClientConnection.turn_is_over`), and returns the reply."""


class Pieces:
    """The one command of all connections that goes on in pieces, and who waits for its end."""

    def __init__(self, server: RespServer) -> None:
        self._server = server
        self._work: Work | None = None
        self._waiting: list[ClientConnection] = []
        self._begun_in = (0, 0)

    @property
    def under_way(self) -> bool:
        return self._work is not None

    def begin(self, client: ClientConnection, work: Work, pause: Pause) -> bytes | None:
        """Takes over work that paused for the first time; None, or the reply when it cannot go on."""
        server = self._server
        self._work, self._begun_in = work, self._state()
        # What it may have seen in the open group is in the store before anybody else has a turn.
        server.submit_group()
        if server.node.holds_writes():
            self._end()
            return refusals.DISTURBED
        if client.transaction is not None:
            client.transaction.saw_group = False
        self._go_on_after(pause, client, work)
        return None

    def _state(self) -> tuple[int, int]:
        """While it is the same, what was seen is what will be."""
        return self._server.role_changes, self._server.group.refusals

    def wait(self, client: ClientConnection) -> None:
        """The connection executes nothing until the work under way is done."""
        self._waiting.append(client)

    def _go_on_after(self, pause: Pause, client: ClientConnection, work: Work) -> None:
        if pause is None:
            self._server.loop.call_soon(self._go_on, client, work)
        else:
            pause.add_done_callback(lambda _: self._go_on(client, work))

    def _go_on(self, client: ClientConnection, work: Work) -> None:
        if client.gone:
            self._end()
            return
        is_still = self._state() == self._begun_in
        reply = client.next_piece(work) if is_still else refusals.DISTURBED
        if not isinstance(reply, bytes):
            self._go_on_after(reply, client, work)
            return
        # The reply first: what others do may send the group of its writes to the store.
        client.finish_pieces(reply)
        self._end()

    def _end(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.close()
        waiting, self._waiting = self._waiting, []
        for client in waiting:
            self._server.loop.call_soon(client.go_on_after_pieces)
