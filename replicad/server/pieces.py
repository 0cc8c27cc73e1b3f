"""Commands that change what they have looked at, and take longer than a turn: they go on in pieces.

    handler ──> work (a generator) ──first turn──> done: the reply
                                       └─ pauses ──> others have their turns <──> the next piece ──> the reply

What such work sees must stand still until it writes, as in Redis, where nothing comes in between. So from
its first pause to its end the writes of others wait (`Command.may_write`); what they read is served.
When the role of the node changes meanwhile, or a group of writes is refused, what the work saw is not true
any more: it ends with TRYAGAIN, and nothing of it is written. The loop's thread owns everything here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from replicad.server import refusals
from replicad.server.client_state import ClientState
from replicad.server.later import Pause, Work
from replicad.server.server_state import ServerState


class UnderWay(NamedTuple):
    """One command in pieces. `step` runs the next piece and gives the reply, or what to wait for; `finish`
    takes the reply."""

    client: ClientState
    work: Work
    step: Callable[[Work], bytes | Pause]
    finish: Callable[[bytes], None]


class Pieces:
    """The one command of all clients that goes on in pieces, and who waits for its end."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._current: UnderWay | None = None
        self._waiting: list[Callable[[], None]] = []
        self._begun_in = (0, 0)

    @property
    def under_way(self) -> bool:
        return self._current is not None

    def begin(self, current: UnderWay, pause: Pause) -> bytes | None:
        """Takes over work that paused for the first time; None, or the reply when it cannot go on."""
        server, client = self._server, current.client
        self._current, self._begun_in = current, self._state()

        # What it may have seen in the open group is in the store before anybody else has a turn.
        server.committer.submit()
        if server.node.holds_writes():
            self._end()
            return refusals.DISTURBED
        if client.transaction is not None:
            client.transaction.saw_group = False
        self._go_on_after(pause, current)
        return None

    def _state(self) -> tuple[int, int]:
        """While it is the same, what was seen is what will be."""
        return self._server.committer.role_changes, self._server.group.refusals

    def wait(self, go_on: Callable[[], None]) -> None:
        """Has `go_on` called when the work under way is done."""
        self._waiting.append(go_on)

    def _go_on_after(self, pause: Pause, current: UnderWay) -> None:
        if pause is None:
            self._server.loop.call_soon(self._go_on, current)
        else:
            pause.add_done_callback(lambda _: self._go_on(current))

    def _go_on(self, current: UnderWay) -> None:
        if current.client.gone:
            self._end()
            return
        is_still = self._state() == self._begun_in
        reply = current.step(current.work) if is_still else refusals.DISTURBED
        if not isinstance(reply, bytes):
            self._go_on_after(reply, current)
            return

        # The reply first: what others do may send the group of its writes to the store.
        current.finish(reply)
        self._end()

    def _end(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.work.close()
        waiting, self._waiting = self._waiting, []
        for go_on in waiting:
            self._server.loop.call_soon(go_on)
