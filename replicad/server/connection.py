"""One client: bytes in, to the kernel's port and on to the client's execution; replies that are ready, out.

    wire -> kernels.ClientPort -> ReplyQueue -> wire
                └> Execution ─────┘

The port executes simple commands by itself. From the first other one on it hands all over, until `Execution`
has nothing left of the client. Replies that are ready are written once for each chunk read.

What a client may take of memory is bounded here: no more is read while it does not take its output, while
what came would only wait, and while the store cannot keep up. While a command is under way a little is read,
so that the client's end is noticed.
"""

from __future__ import annotations

from collections.abc import Callable

from replicad.server import replies
from replicad.server.client_state import BUSY, CHOKED, QUITTING, UNREAD, ClientState
from replicad.server.execution import Execution
from replicad.server.pieces import Pieces
from replicad.server.requests import with_words
from replicad.server.server_state import ServerState
from replicad.server.wires import NoWire, Wire

LOGIN_SECONDS_MAX = 30.0
"""From the connection to AUTH, where nobody may do anything before."""
_HELD_BYTES_MAX = 4 << 20
_HELD_BYTES_MAX_WHILE_WRITES_WAIT = 64 << 10
_BACKLOG_BYTES_MAX = 64 << 10
_TURN_BYTES = 64 << 10
"""Of input: after this much the loop goes to the others, also where libuv would read on in the same round."""


class ClientConnection:
    """What is between a client's wire and its execution.

    `admit` takes the connection in, or returns the refusal; `forget` is called when it is lost. `taken` says
    which commands the kernel may execute now.
    """

    def __init__(
        self,
        server: ServerState,
        pieces: Pieces,
        taken: Callable[[], int],
        admit: Callable[[ClientConnection], bytes | None],
        forget: Callable[[ClientConnection], None],
    ) -> None:
        self.client = client = ClientState(server)
        self.aborted = False
        self._server = server
        self._taken = taken
        self._admit = admit
        self._forget = forget
        self._wire: Wire = NoWire()
        self._port = client.port
        self._error: str | None = None
        """What is wrong with the client's bytes: it is out of step for good, and nothing more is read."""
        self._execution = Execution(client, pieces, settle=self.settle, is_closing=self._is_closing)
        client.replies.on_release = self._replies_released
        self._is_reading = True
        self._reads_since = client.connected_at
        self._output_mark = (0, 0.0)
        """What waited for the client when that last changed, and when that was."""

    # What the wire says.

    def begin(self, wire: Wire) -> None:
        self._wire = wire
        self.client.peer = wire.peer
        if wire.certificate is not None:
            login = self._server.login
            user = login.who_comes(wire.certificate)
            self.client.come_as(user, by_certificate=user is not login.users.anonymous)
        refusal = self._admit(self)
        if refusal is not None:
            self.client.replies.append(refusal)
            self.client.ending = True
        self.settle()

    def lost(self) -> None:
        """The connection is over: nobody hears any more."""
        client = self.client
        client.gone = client.ending = True
        self._execution.close()
        client.replies.drop()
        client.unwatch()
        client.end_reading()
        self._forget(self)
        # The wire knows this object, so this one lets go of it: its buffers are freed at once then, and not
        # when the garbage collector comes by.
        self._wire = NoWire()

    def feed(self, data: bytes) -> None:
        """These bytes came."""
        server = self._server
        if self.client.ending or self._error is not None:
            return
        begun = self._port.last_input_at = server.now()
        handed, usage = self._port.feed(data, self._taken()), server.usage
        seconds = server.now() - begun
        usage.kernel_seconds += seconds
        usage.add_reads(seconds)
        if writes := usage.take_writes():
            server.committer.note_writes(begun, writes)
        self._take(handed)

        # A client that fills every chunk would otherwise be read again before the others have their turn.
        if len(data) >= _TURN_BYTES:
            self._execution.yield_turn()

        # Memory is looked at by what came in: a clock would be too late for a client that sends quickly.
        if server.stats.counts.input_bytes > server.relieve_at:
            server.relieve()
        self.settle()

    def fed(self, found: list[list[bytes] | bytes] | None) -> None:
        """The port was fed already; `found` is what it left for Python."""
        if not self.client.ending and self._error is None:
            self._take(found)
        self.settle()

    def _take(self, found: list[list[bytes] | bytes] | None) -> None:
        port = self._port
        if found is not None:
            requests, self._error = with_words(found)
            self._execution.take(requests)
        self._error = self._error or port.error
        if port.more:
            self._execution.yield_turn()

    def full(self) -> None:
        """Much waits for the client, which does not take it."""
        self.client.stopped |= UNREAD
        self._output_mark = (self._wire.unsent_bytes, self._server.now())
        self.settle()

    def drained(self) -> None:
        """It took most of that."""
        self.client.stopped &= ~UNREAD
        self._execution.yield_turn()

    # Output and flow.

    def _is_closing(self) -> bool:
        return self._wire.is_closing

    def _replies_released(self) -> None:
        if not self.client.held:
            self._execution.released()
        self.settle()

    def settle(self) -> None:
        """Sends what is ready, closes when everything is said, and reads on or not."""
        client, execution, wire, port = self.client, self._execution, self._wire, self._port
        if execution.is_executing or wire.is_closing:
            return

        # What the last turn left is executed before more is read.
        port.direct = client.may_be_direct and not (execution.backlog or client.stopped)
        if port.more and port.direct and not self._holds_enough():
            self._take(port.feed(b"", self._taken()))

        # The error of the protocol is the last word, so it comes after the replies to all requests before it.
        if self._error is not None and not (client.ending or execution.backlog or client.stopped):
            self._server.stats.malformed += 1
            client.replies.append(replies.error(f"ERR Protocol error: {self._error}"))
            client.ending = True

        if client.messages and not client.held:
            client.hear()
        if client.replies.ready_bytes:
            wire.send()
        if client.large_bytes and not client.held:
            client.large_bytes = 0
            if client.stopped & CHOKED:
                client.stopped &= ~CHOKED
                execution.yield_turn()

        # A client that ended gets what it asked for before its connection closes.
        is_left = execution.backlog or (port.more and not client.stopped & QUITTING)
        if client.ending and not (client.held or is_left or client.is_busy):
            port.quiet = False
            wire.close()
            return

        # Reading stops where what came would only wait here. While a command is under way it goes on within
        # limits, for the end of a client is noticed by reading only.
        reading = not (
            client.ending
            or client.stopped & ~BUSY
            or port.more
            or execution.backlog_bytes > _BACKLOG_BYTES_MAX
            or self._server.committer.stalled
            or self._holds_enough()
        )
        if reading is not self._is_reading:
            self._is_reading = reading
            self._reads_since = self._server.now()
            wire.read(reading)
        port.quiet = port.direct and reading and not client.messages

    def _holds_enough(self) -> bool:
        if not self.client.held:
            return False
        held = self._port.held_input_bytes + self.client.replies.held_bytes
        if held <= _HELD_BYTES_MAX_WHILE_WRITES_WAIT:
            return False
        return held > _HELD_BYTES_MAX or self._server.node.holds_writes()

    # What the server does with it.

    def end(self, *, drops_backlog: bool = False) -> None:
        """Reads nothing more; the connection closes when what came is done and said."""
        self.client.ending = True
        if drops_backlog:
            self._execution.backlog.clear()
        self._execution.give_up()
        self._server.loop.call_soon(self.settle)

    def abort(self) -> None:
        self.aborted = True
        self._wire.abort()

    @property
    def buffered_bytes(self) -> int:
        """What waits here for more input, for EXEC, for other commands, for the store, or for the client to
        read. Writes count in their group.
        """
        client, execution = self.client, self._execution
        waiting = client.queued_bytes + client.watched.size_bytes + client.annotation_bytes
        waiting += execution.backlog_bytes + client.replies.held_bytes
        if client.has_subscribed:
            waiting += self._server.channels.size_bytes(client)
        return waiting + self._port.buffered_bytes + self._wire.unsent_bytes

    def overdue(self, now: float) -> str | None:
        """Why this client should be closed by now, if it should."""
        if not self.client.rights and now - self.client.connected_at > LOGIN_SECONDS_MAX:
            return "did not log in"
        options = self._server.options
        size = self._wire.unsent_bytes
        if self.client.stopped & UNREAD or (size and self._wire.is_closing):
            waiting, since = self._output_mark
            if size != waiting:
                self._output_mark = (size, now)
            elif now - since > options.output_seconds_max:
                return "does not read its replies"
        elif (
            self._is_reading
            and self._port.unfinished
            and now - max(self._port.last_input_at, self._reads_since) > options.input_seconds_max
        ):
            return "does not finish its request"
        return None
