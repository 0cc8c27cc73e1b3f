"""One client: bytes in, commands executed in order, replies out in order.

    bytes -> RequestParser -> execute, turn by turn -> `sink` -> ready | held segments -> transport

A reply that must wait (a write that is not visible yet, or anything that showed such a state) goes into a
held segment; from then on everything the connection says goes behind it. Replies that need not wait are
collected in `ready` and written once for each chunk read.

A turn ends after so many commands, and after so long: then others have theirs. While `stopped` is not 0 the
commands that came stay in the backlog and no more is read: the client does not take its output, others have
their turn, or a command is under way elsewhere or in pieces; in that last case a little more is read, so that
the client's end is noticed. The loop's thread owns everything here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import structlog

from replicad.errors import CorruptionError, InvalidArgument, NotFoundError, ReplicadError
from replicad.server import refusals, replies
from replicad.server.commands.table import LOOK_AFTER, Check, Command, Entry, find_entry
from replicad.server.interfaces import Name
from replicad.server.pieces import Pause, Work
from replicad.server.refusals import Refused
from replicad.server.requests import Request, RequestParser
from replicad.server.session import LARGE_BYTES, ClientState

if TYPE_CHECKING:
    from replicad.server.server import RespServer

log = structlog.get_logger()

# Why a connection executes nothing at the moment: bits of `stopped`.
BUSY = 1  # a command is under way elsewhere
CHOKED = 2  # much is waiting to be written, to the store or to the client
UNREAD = 4  # the client does not take its output
QUITTING = 8  # nothing more will be executed
YIELDING = 16  # others have their turn
WAITING = 32  # another client's command goes on in pieces, and the next one here must not come in between

TURN_COMMANDS = 2048
TURN_SECONDS = 0.01
"""Whatever the commands do: read large values, look up many keys, write long replies."""
_TURN_BYTES = 64 << 10
"""Of input: after so much the loop goes to the others, also where libuv would read on in the same round."""
_ERROR = ord("-")
_LARGE_BYTES_MAX = 8 << 20
_HELD_BYTES_MAX = 4 << 20
_HELD_BYTES_MAX_WHILE_WRITES_WAIT = 64 << 10
_BACKLOG_BYTES_MAX = 64 << 10
_ARGUMENT_BYTES = 64  # what Python adds to each
_NOT_FOR_BROWSERS = frozenset([b"POST", b"HOST:"])


def _refusal_of(check: Check, request: Request) -> bytes | None:
    try:
        return check(request)
    except Refused as refused:
        return refused.reply


class ClientConnection(ClientState, asyncio.Protocol):
    """The protocol object of one socket, and the session state of its client."""

    def __init__(self, server: RespServer) -> None:
        super().__init__(server)
        self.id = 0
        self.name = b""
        self.library = b""
        self.library_version = b""
        self.peer = ""
        self.protocol = 2
        self.nil = replies.NIL_BULK
        self.connected_at = self.last_input_at = server.now()
        self.command: Command | None = None  # the last one, or the one under way

        self.queue: list[tuple[Command, Request]] | None = None
        self.queue_bytes = 0
        self.queue_broken = False
        self.watched: dict[Name, int] = {}
        self.watched_bytes = 0
        self.watch_broken = False
        self.work: asyncio.Future[Any] | None = None  # the command under way elsewhere
        self.gone = False  # read in threads, too
        self.aborted = False
        self.stopped = 0
        self._executing = False
        self._turn_ends_at = 0.0
        self.pieces: Work | None = None  # of a command within EXEC

        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._parser = RequestParser(server.options)
        self._backlog: deque[Request] = deque()
        self._backlog_bytes = 0  # at most
        self._when_released: Callable[[], None] | None = None
        self._ending = False
        self._reading = True
        self._reads_since = self.connected_at
        self._held_input_bytes = 0
        self._held_reply_bytes = 0
        self._large_bytes = 0
        self._output_mark = (0, 0.0)

    def discard(self) -> None:
        """Forgets the queued commands and the watched keys."""
        self.queue = None
        self.queue_bytes = 0
        self.unwatch()

    def unwatch(self) -> None:
        """Forgets the watched keys."""
        self.server.watches.forget(self, self.watched)
        self.watched = {}
        self.watched_bytes = 0
        self.watch_broken = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unix"
        self._transport.set_write_buffer_limits(high=self.server.options.output_bytes_max)
        refusal = self.server.admit(self)
        if refusal is not None:
            self._ending = True
            self._transport.write(refusal)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = self._ending = True
        self._backlog.clear()
        self.held.clear()
        self._when_released = None
        if self.work is not None:
            self.work.cancel()
        self.unwatch()
        self.server.forget(self)

    def data_received(self, data: bytes) -> None:
        if self._ending or self._parser.error is not None:
            return
        server = self.server
        self.last_input_at = server.now()
        server.stats.input_bytes += len(data)
        parser = self._parser
        requests = parser.feed(data)

        # Memory is looked at by what came in: a clock would be too late for a client that sends quickly.
        if server.stats.input_bytes > server.relieve_at:
            server.relieve()
        if self.held:
            self._held_input_bytes += len(data)

        # What came before is executed before: a request never overtakes those in the backlog.
        if self._backlog or self.stopped:
            self._backlog.extend(requests)
        elif len(requests) <= TURN_COMMANDS:
            self._execute(requests)
        else:
            self._backlog.extend(requests)
            self._pump()

        # A client that fills every chunk would otherwise be read again before the others have their turn.
        if len(data) >= _TURN_BYTES:
            self._yield()
        if self._backlog:
            self._backlog_bytes += len(data) + _ARGUMENT_BYTES * sum(map(len, requests))
        self.settle()

    def eof_received(self) -> bool:
        """A client that closed its side still gets the replies to what it sent."""
        self.end()
        return True

    def pause_writing(self) -> None:
        self.stopped |= UNREAD
        self._output_mark = (self._transport.get_write_buffer_size(), self.server.now())

    def resume_writing(self) -> None:
        self.stopped &= ~UNREAD
        self._yield()

    # Executing.

    def _yield(self) -> None:
        """Executes and reads no more in this round of the loop."""
        if not self.stopped & YIELDING:
            self.stopped |= YIELDING
            self.server.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self.stopped &= ~YIELDING
        self._pump()
        self.settle()

    def _execute(self, requests: list[Request]) -> None:
        """The caller settles afterwards: until then what a command has released only becomes ready."""
        if self.server.pieces.under_way:
            requests = self._until_one_must_wait(requests)
        self._executing = True
        try:
            self._execute_all(requests)
        finally:
            self._executing = False

    def _execute_all(self, requests: list[Request]) -> None:
        now = self.server.now
        ends_at = self._turn_ends_at = now() + TURN_SECONDS
        table = self.server.table
        find = table.get
        rest = iter(requests)
        replied_bytes = unlooked = 0
        executed = len(requests)
        for request in rest:
            entry = find(request[0]) or find_entry(table, request[0])
            if entry is None:
                reply: bytes | None = self._not_a_command(request)
                unlooked += 1
            else:
                handler, least, most, part, command = entry
                unlooked += part
                self.command = command
                if not least <= len(request) <= most:
                    reply = self._wrong_arity(command)
                elif self.queue is not None and not command.immediate:
                    reply = self._enqueue(entry, request)
                else:
                    try:
                        reply = handler(self, request)
                    except Exception as error:
                        reply = self.explain(error, command)
            if reply is not None:
                if reply[0] == _ERROR:
                    self.server.stats.error_replies += 1
                self.sink(reply)
                replied_bytes += len(reply)
                if replied_bytes > _LARGE_BYTES_MAX:
                    # Many small replies to one chunk of input: the client takes these before there are more.
                    self._large_bytes += replied_bytes
                    self.stopped |= CHOKED
            if unlooked >= LOOK_AFTER:
                unlooked = 0
                if now() > ends_at:
                    self._yield()
            if self.stopped:
                left = list(rest)
                executed -= len(left)
                self._backlog.extendleft(reversed(left))
                if self.stopped & QUITTING:
                    self._backlog.clear()
        if self.held:
            self._held_reply_bytes += replied_bytes + _ARGUMENT_BYTES * len(requests)
        self.server.stats.commands += executed

    def _not_a_command(self, request: Request) -> bytes:
        if request[0].upper() in _NOT_FOR_BROWSERS:
            # A web page can make a browser send us its requests: what is in them must not be executed.
            self.quit()
        self.queue_broken = True
        return refusals.unknown_command(request)

    def _wrong_arity(self, command: Command) -> bytes:
        self.queue_broken = True
        if command.name != "exec":
            return refusals.wrong_arity(command.name)
        self.discard()
        return refusals.EXEC_WRONG_ARITY

    def _enqueue(self, entry: Entry, request: Request) -> bytes:
        assert self.queue is not None
        handler, *_, command = entry
        refusal = refusals.not_in_transaction(command.name) if command.blocking else None
        if handler is not command.handler or command.refused:
            refusal = handler(self, request)
        elif command.check is not None and refusal is None:
            # What is wrong now is wrong at EXEC, too: nothing of the transaction is to be executed then.
            refusal = _refusal_of(command.check, request)
        self.queue_bytes += sum(map(len, request)) + _ARGUMENT_BYTES * len(request)
        if self.queue_bytes > self.server.options.request_bytes_max:
            refusal = refusals.QUEUE_TOO_LARGE
            self.queue.clear()
        if refusal is not None:
            self.queue_broken = True
            return refusal
        self.queue.append((command, request))
        return replies.QUEUED

    def explain(self, error: Exception, command: Command | None) -> bytes:
        """The reply to a command that raised."""
        if isinstance(error, Refused):
            return error.reply
        if isinstance(error, InvalidArgument | NotFoundError):
            return replies.error(f"ERR {error}")
        if isinstance(error, CorruptionError):
            self.server.found_corruption(error)
        self.server.stats.errors += 1
        if isinstance(error, OSError) and error.filename:
            reason = f"{error.filename}: {error.strerror}"
            log.warning(
                "server.command_failed", command=command and command.name, client=self.peer, reason=reason
            )
            return replies.error(f"ERR {reason}")
        log.error("server.command_failed", command=command and command.name, client=self.peer, exc_info=error)
        if isinstance(error, ReplicadError):
            return replies.error(f"ERR {type(error).__name__}: {error}")
        return refusals.INTERNAL

    def _pump(self) -> None:
        """Executes what is left in the backlog: as far as it goes, and no more than one turn."""
        backlog = self._backlog
        if backlog and not self.stopped:
            turn = min(len(backlog), TURN_COMMANDS)
            self._execute([backlog.popleft() for _ in range(turn)])
            if backlog:
                self._yield()
            else:
                self._backlog_bytes = 0

    # Commands that take longer than a turn.

    def turn_is_over(self) -> bool:
        """Whether a command that could take long should pause here, and let others have their turn."""
        return self.server.now() > self._turn_ends_at

    def end_turn_if_over(self) -> None:
        if self.turn_is_over():
            self._yield()

    def in_pieces(self, work: Work) -> bytes | None:
        """The reply of this work if it is done before the turn is over. Otherwise None: it goes on in pieces,
        and the writes of others wait until it is done. Within EXEC it becomes a part of that."""
        if self.transaction is not None:
            self.pieces = work
            return None
        reply = self.next_piece(work)
        if isinstance(reply, bytes):
            return reply
        self.stopped |= BUSY
        refusal = self.server.pieces.begin(self, work, reply)
        if refusal is not None:
            self.stopped &= ~BUSY
        return refusal

    def next_piece(self, work: Work) -> bytes | Pause:
        """The reply when this is the last piece, or what the next one waits for."""
        if self.stopped & BUSY:
            self._turn_ends_at = self.server.now() + TURN_SECONDS
        try:
            return next(work)
        except StopIteration as done:
            return cast(bytes, done.value)
        except Exception as error:
            return self.explain(error, self.command)

    def finish_pieces(self, reply: bytes) -> None:
        """The command that went on in pieces is done. The next one comes after those who waited for it."""
        self.sink(reply)
        self.stopped &= ~BUSY
        self._yield()

    def _until_one_must_wait(self, requests: list[Request]) -> list[Request]:
        """Those that may come in between the pieces of another client's command; the others wait."""
        table = self.server.table
        for index, request in enumerate(requests):
            entry = find_entry(table, request[0])
            if entry is not None and entry[-1].waits_for_pieces:
                self._backlog.extendleft(reversed(requests[index:]))
                self.stopped |= WAITING
                self.server.pieces.wait(self)
                return requests[:index]
        return requests

    def go_on_after_pieces(self) -> None:
        self.stopped &= ~WAITING
        self._pump()
        self.settle()

    def run_when_released(self, then: Callable[[], None]) -> None:
        """Stops executing until every reply held so far is out; then calls `then`, which leads to
        `finish`."""
        self.stopped |= BUSY
        if not self.held:
            then()
            return
        self.server.submit_group()
        if self.held:
            self._when_released = then
        else:
            then()

    def began(self, work: asyncio.Future[Any]) -> None:
        """The command under way is `work`; a client that has ended by now does not wait for it."""
        self.work = work
        if self._ending:
            self._give_up()

    def _give_up(self) -> None:
        """Ends the wait of a command on the loop. What runs in a thread comes to an end by itself."""
        if isinstance(self.work, asyncio.Task):
            self.work.cancel()

    def finish(self, reply: bytes) -> None:
        """The command under way is done."""
        self.work = None
        self.stopped &= ~BUSY
        if self._transport.is_closing():
            return
        self.weigh(len(reply))
        self.sink(reply)
        self._pump()
        self.settle()

    def all_released(self) -> None:
        self._held_input_bytes = self._held_reply_bytes = 0
        if self._when_released is not None:
            then, self._when_released = self._when_released, None
            then()

    # Output and flow.

    def weigh(self, size: int) -> None:
        """Counts a large value on its way to the store or the client; when many are, the next commands
        wait.
        """
        if size > LARGE_BYTES:
            self._large_bytes += size
            if self._large_bytes > _LARGE_BYTES_MAX:
                self.stopped |= CHOKED

    def settle(self) -> None:
        """Writes what is ready, closes when everything is said, and reads on or not."""
        transport = self._transport
        if self._executing or transport.is_closing():
            return

        # The error of the protocol is the last word, so it comes after the replies to all requests before it.
        if self._parser.error is not None and not (self._ending or self._backlog or self.stopped):
            self.sink(replies.error(f"ERR Protocol error: {self._parser.error}"))
            self._ending = True

        # One write for all that is ready: each costs a system call.
        while self.ready:
            output = self.ready[0] if len(self.ready) == 1 else b"".join(self.ready)
            self.server.stats.output_bytes += len(output)
            transport.write(output)
            self.ready.clear()
            if self._large_bytes and not self.held:
                self._large_bytes = 0
                if self.stopped & CHOKED:
                    self.stopped &= ~CHOKED
                    self._yield()

        # A client that ended gets what it asked for before its connection closes.
        if self._ending and not (self.held or self._backlog or self.stopped & BUSY):
            transport.close()
            return

        # Reading stops where what came would only wait here. While a command is under way it goes on within
        # limits, for the end of a client is noticed by reading only.
        reading = not (
            self._ending
            or self.stopped & ~BUSY
            or self._backlog_bytes > _BACKLOG_BYTES_MAX
            or self.server.stalled
            or (self.held and self._holds_enough())
        )
        if reading is not self._reading:
            self._reading = reading
            self._reads_since = self.server.now()
            if reading:
                transport.resume_reading()
            else:
                transport.pause_reading()

    def _holds_enough(self) -> bool:
        held = self._held_input_bytes + self._held_reply_bytes
        if held <= _HELD_BYTES_MAX_WHILE_WRITES_WAIT:
            return False
        return held > _HELD_BYTES_MAX or self.server.node.holds_writes()

    def end(self) -> None:
        """Reads nothing more; the connection closes when what came is done and said."""
        self._ending = True
        self._give_up()
        self.server.loop.call_soon(self.settle)

    def quit(self) -> None:
        """Executes nothing more; the connection closes when its last reply is out."""
        self.stopped |= QUITTING
        self._backlog.clear()
        self._ending = True
        self.server.loop.call_soon(self.settle)

    def abort(self) -> None:
        self.aborted = True
        self._transport.abort()

    @property
    def is_busy(self) -> bool:
        """Whether a command is under way in a thread, or waits for something."""
        return bool(self.stopped & BUSY)

    @property
    def buffered_bytes(self) -> int:
        """What waits here for more input, for EXEC, for other commands, for the store, or for the client to
        read. Writes count in their group.
        """
        waiting = self.queue_bytes + self._backlog_bytes + self._held_reply_bytes
        waiting += self.watched_bytes + self.annotation_bytes
        return waiting + self._parser.buffered_bytes + self._transport.get_write_buffer_size()

    def overdue(self, now: float) -> str | None:
        """Why this client should be closed by now, if it should."""
        options = self.server.options
        size = self._transport.get_write_buffer_size()
        if self.stopped & UNREAD or (size and self._transport.is_closing()):
            waiting, since = self._output_mark
            if size != waiting:
                self._output_mark = (size, now)
            elif now - since > options.output_seconds_max:
                return "does not read its replies"
        elif (
            self._reading
            and self._parser.unfinished
            and now - max(self.last_input_at, self._reads_since) > options.input_seconds_max
        ):
            return "does not finish its request"
        return None
