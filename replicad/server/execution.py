"""One client's requests, executed in order and by turns.

    requests --> backlog --> turn by turn: command(client, request) --> reply --> ReplyQueue
                                              └─ work that comes later (`Later`) --> thread, task, pieces ─┘

A turn ends after a number of commands, and after a time: then others have theirs. While `ClientState.stopped`
is not 0 the requests that came stay in the backlog: the client does not take its output, others have their
turn, or a command is under way elsewhere or in pieces. The loop's thread owns everything here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from replicad.env.events import get_logger
from replicad.server import refusals, replies
from replicad.server.client_state import (
    BUSY,
    CHOKED,
    LARGE_BYTES_MAX,
    QUITTING,
    TURN_OVER,
    WAITING,
    YIELDING,
    ClientState,
)
from replicad.server.commands import choose_table
from replicad.server.commands.container import Check
from replicad.server.commands.table import COMMANDS, LOOK_AFTER, Command, Entry, find_entry, forbidden
from replicad.server.later import AsTask, InPieces, InThread, Later, LookUp, OnSnapshot, Pause, Work
from replicad.server.pieces import Pieces, UnderWay
from replicad.server.refusals import Refused
from replicad.server.requests import Request

log = get_logger()

TURN_COMMANDS = 2048
TURN_SECONDS = 0.01
"""Whatever the commands do: read large values, look up many keys, write long replies."""
_ERROR = ord("-")
_ARGUMENT_BYTES = 64  # what Python adds to each
_NOT_FOR_BROWSERS = frozenset([b"POST", b"HOST:"])


class Execution:
    """`settle` has the connection send what is ready; `is_closing` says that it sends nothing any more."""

    def __init__(
        self,
        client: ClientState,
        pieces: Pieces,
        *,
        settle: Callable[[], None],
        is_closing: Callable[[], bool],
    ) -> None:
        self.is_executing = False
        """Until the end of a turn what it releases only becomes ready: it is sent in one piece."""
        self.backlog: deque[Request] = deque()
        self.backlog_bytes = 0  # at most
        self._client = client
        self._server = client.server
        self._pieces = pieces
        self._settle = settle
        self._is_closing = is_closing
        self._work: asyncio.Future[Any] | None = None  # the command under way elsewhere
        self._when_released: Callable[[], None] | None = None
        self._later: Request = []
        """The command under way, whose reply comes later."""
        self._later_since = 0.0

    def take(self, requests: list[Request]) -> None:
        """Executes what came, or keeps it. The caller settles afterwards."""
        client, backlog = self._client, self.backlog

        # What came before is executed before: a request never overtakes those in the backlog.
        if backlog or client.stopped:
            backlog.extend(requests)
        elif len(requests) <= TURN_COMMANDS:
            self._execute(requests)
        else:
            backlog.extend(requests)
            self._pump()

        if backlog:
            self.backlog_bytes += sum(
                [sum(map(len, request)) + _ARGUMENT_BYTES * len(request) for request in requests]
            )

    def yield_turn(self) -> None:
        """Executes and reads no more in this round of the loop."""
        client = self._client
        if not client.stopped & YIELDING:
            client.stopped |= YIELDING
            self._server.loop.call_soon(self._go_on, YIELDING | TURN_OVER)

    def _go_on(self, reasons: int) -> None:
        """Goes on where it stopped for these reasons."""
        self._client.stopped &= ~reasons
        self._pump()
        self._settle()

    def _pump(self) -> None:
        """Executes what is left in the backlog: as far as it goes, and no more than one turn."""
        backlog = self.backlog
        if backlog and not self._client.stopped:
            turn = min(len(backlog), TURN_COMMANDS)
            self._execute([backlog.popleft() for _ in range(turn)])
            if backlog:
                self.yield_turn()
            else:
                self.backlog_bytes = 0

    def _execute(self, requests: list[Request]) -> None:
        if self._pieces.under_way or self._server.pause.paused:
            requests = self._until_one_must_wait(requests)
        self.is_executing = True
        try:
            self._execute_all(requests)
        finally:
            self.is_executing = False

    def _execute_all(self, requests: list[Request]) -> None:
        client, server = self._client, self._server
        queue = client.replies
        now = server.now
        looked_at = begun = now()
        ends_at = client.turn_ends_at = begun + TURN_SECONDS
        usage = server.usage
        usages, wrote = usage.by_name, 0
        is_watched = bool(server.monitors.clients)
        table = choose_table(server.node)
        find = table.get
        rest = iter(requests)
        replied_bytes = unlooked = 0
        executed = len(requests)

        # The loop is one function, and looks at the clock seldom: it runs for every request.
        for request in rest:
            entry = find(request[0]) or find_entry(table, request[0])
            if entry is None:
                reply: bytes | None = self._not_a_command(request)
                unlooked += 1
                usage.note_error(reply or b"")
            else:
                handler, least, most, part, command = entry
                unlooked += part
                client.command_name = command.name
                if client.is_limited and (refusal := forbidden(command, client, request)) is not None:
                    client.queue_broken = True
                    reply = refusal
                    usage.rejected(command.name, reply)
                elif not least <= len(request) <= most:
                    reply = self._wrong_arity(command)
                    usage.rejected(command.name, reply)
                elif client.queued is not None and not command.immediate:
                    reply = self._enqueue(entry, request)
                    if reply[0] == _ERROR:
                        usage.rejected(command.name, reply)
                    elif is_watched:
                        self._show(command, request)
                else:
                    if is_watched:
                        self._show(command, request)
                    usages[command.name].calls += 1
                    try:
                        answer = handler(client, request)
                        reply = answer if isinstance(answer, bytes) else self._begin(answer)
                        if reply is None:
                            self._later = request
                    except Exception as error:
                        reply = client.explain(error)
                    if reply is not None:
                        wrote += command.writes
                        if reply[0] == _ERROR:
                            self._note_error(entry, reply)

            if reply is not None:
                if reply[0] == _ERROR:
                    server.stats.error_replies += 1
                queue.append(reply)
                replied_bytes += len(reply)
                if replied_bytes > LARGE_BYTES_MAX:
                    # Many small replies to one chunk of input: the client takes these before there are more.
                    client.large_bytes += replied_bytes
                    client.stopped |= CHOKED

            # A turn that is over leaves the rest to the backlog, as does a command that stops its client.
            if unlooked >= LOOK_AFTER:
                unlooked = 0
                at = now()
                if entry is not None and reply is not None:
                    # What comes later is measured when it comes.
                    self._note_time(command, request, at - looked_at)
                looked_at = at
                if at > ends_at:
                    self.yield_turn()
            if client.stopped:
                left = list(rest)
                executed -= len(left)
                self._stop_with(left)

        server.stats.counts.commands += executed
        if wrote:
            server.committer.note_writes(begun, wrote)

    def _note_time(self, command: Command, request: Request, seconds: float) -> None:
        server, client = self._server, self._client
        server.usage.took(command.name, command.timed_as, seconds)
        if seconds >= server.slow_log.slow_seconds:
            server.slow_log.note(command.name, request, seconds, peer=client.peer, client_name=client.name)
            log.info(
                "server.command_slow",
                command=command.name,
                seconds=round(seconds, 4),
                client=client.peer,
                client_id=client.id,
            )

    def _show(self, command: Command, request: Request) -> None:
        """To those who watch with MONITOR."""
        if command.is_shown(request):
            self._server.monitors.show(self._client, request)

    def _note_error(self, entry: Entry, reply: bytes) -> None:
        handler, *_, command = entry
        usage = self._server.usage
        (usage.failed if handler is command.handler else usage.rejected)(command.name, reply)

    def _stop_with(self, left: list[Request]) -> None:
        """The command that was executed last stops the turn; these are left of it."""
        stopped = self._client.stopped
        self.backlog.extendleft(reversed(left))
        if stopped & QUITTING:
            self.backlog.clear()
        if stopped & TURN_OVER:
            self.yield_turn()

    # What is not executed.

    def _not_a_command(self, request: Request) -> bytes:
        if request[0].upper() in _NOT_FOR_BROWSERS:
            # A web page can make a browser send us its requests: what is in them must not be executed.
            self._client.quit()
        self._client.queue_broken = True
        return refusals.unknown_command(request)

    def _wrong_arity(self, command: Command) -> bytes:
        self._client.queue_broken = True
        if command.name != "exec":
            return refusals.wrong_arity(command.name)
        self._client.discard()
        return refusals.EXEC_WRONG_ARITY

    def _enqueue(self, entry: Entry, request: Request) -> bytes:
        """Keeps a command for EXEC; what is wrong with it breaks the whole transaction."""
        client = self._client
        assert client.queued is not None
        handler, *_, command = entry
        refusal = refusals.not_in_transaction(command.name) if command.blocking else None
        if handler is not command.handler or command.refused:
            refusal = cast(bytes, handler(client, request))
        elif command.check is not None and refusal is None:
            # What is wrong now is wrong at EXEC, too: nothing of the transaction is to be executed then.
            refusal = _refusal_of(command.check, request)
        client.queued_bytes += sum(map(len, request)) + _ARGUMENT_BYTES * len(request)
        if client.queued_bytes > self._server.options.request_bytes_max:
            refusal = refusals.QUEUE_TOO_LARGE
            client.queued.clear()
        if refusal is not None:
            client.queue_broken = True
            return refusal
        client.queued.append(request)
        return replies.QUEUED

    # Commands whose reply comes later.

    def _begin(self, later: Later | None) -> bytes | None:
        """Begins the work, or has it begin when the replies before it are out; the reply, if it is done.

        None is a command without a reply."""
        workers = self._server.workers
        self._later_since = self._server.now()
        match later:
            case InPieces(work):
                return self._begin_in_pieces(work)
            case InThread(find):
                self._when_replies_are_out(lambda: self._await(workers.run(find)))
            case LookUp(find):
                self._when_replies_are_out(lambda: self._await(workers.look_up(find)))
            case OnSnapshot(walk, encode):
                self._when_replies_are_out(
                    lambda: self._await(workers.run(lambda: self._on_snapshot(walk)), encode)
                )
            case AsTask(wait):
                self._when_replies_are_out(lambda: self._await(workers.start(wait())))
        return None

    def _when_replies_are_out(self, begin: Callable[[], None]) -> None:
        """Stops executing until every reply held so far is out; then calls `begin`."""
        client = self._client
        client.stopped |= BUSY
        if client.held:
            self._server.committer.submit()
        if client.held:
            self._when_released = begin
        else:
            begin()

    def released(self) -> None:
        """Nothing is held any more."""
        if self._when_released is not None:
            begin, self._when_released = self._when_released, None
            begin()

    def _on_snapshot(self, walk: Callable[[Any], Any]) -> Any:
        snapshot = self._server.store.snapshot()
        try:
            return walk(snapshot)
        finally:
            snapshot.close()

    def _await(self, work: asyncio.Future[Any], encode: Callable[[Any], bytes] | None = None) -> None:
        """Has the command end when this work does; a client that has ended by now does not wait for it."""

        def finish(done: asyncio.Future[Any]) -> None:
            if done.cancelled():
                reply = refusals.GIVEN_UP
            else:
                try:
                    reply = done.result() if encode is None else encode(done.result())
                except Exception as error:
                    reply = self._client.explain(error)
            self._finish(reply)

        work.add_done_callback(finish)
        self._work = work
        if self._client.ending:
            self.give_up()

    def _finish(self, reply: bytes) -> None:
        """The command under way is done."""
        client = self._client
        self._work = None
        client.stopped &= ~BUSY
        if self._is_closing():
            return
        self._note_end(reply)
        client.weigh(len(reply))
        client.replies.append(reply)
        self._pump()
        self._settle()

    def _note_end(self, reply: bytes) -> None:
        """Counts the command that came later: its error, and its time unless it had to wait for something."""
        server, command = self._server, COMMANDS[self._client.command_name]
        if command.writes:
            server.committer.note_writes(self._later_since, 1)
        if not command.blocking:
            self._note_time(command, self._later, server.now() - self._later_since)
        self._later = []
        if reply[:1] == b"-":
            server.stats.error_replies += 1
            server.usage.failed(command.name, reply)

    def give_up(self) -> None:
        """Ends the wait of a command on the loop. What runs in a thread comes to an end by itself."""
        if isinstance(self._work, asyncio.Task):
            self._work.cancel()

    def close(self) -> None:
        """The connection is lost: nothing more is executed, and what has not begun never does."""
        self.backlog.clear()
        self._when_released = None
        if self._work is not None:
            self._work.cancel()

        # The connection knows this object, so this one lets go of it: its buffers are freed at once then, and
        # not when the garbage collector comes by.
        self._settle, self._is_closing = lambda: None, lambda: True

    # Commands in pieces.

    def _begin_in_pieces(self, work: Work) -> bytes | None:
        """The reply of this work if it is done before the turn is over. Otherwise None: it goes on in pieces,
        and the writes of others wait until it is done."""
        client = self._client
        reply = self._next_piece(work)
        if isinstance(reply, bytes):
            return reply
        client.stopped |= BUSY
        refusal = self._pieces.begin(UnderWay(client, work, self._next_piece, self._finish_pieces), reply)
        if refusal is not None:
            client.stopped &= ~BUSY
        return refusal

    def _next_piece(self, work: Work) -> bytes | Pause:
        """The reply when this is the last piece, or what the next one waits for."""
        client = self._client
        if client.is_busy:
            client.turn_ends_at = self._server.now() + TURN_SECONDS
        try:
            return next(work)
        except StopIteration as done:
            return cast(bytes, done.value)
        except Exception as error:
            return client.explain(error)

    def _finish_pieces(self, reply: bytes) -> None:
        """The command that went on in pieces is done. The next one comes after those who waited for it."""
        self._note_end(reply)
        self._client.replies.append(reply)
        self._client.stopped &= ~BUSY
        self.yield_turn()

    def _until_one_must_wait(self, requests: list[Request]) -> list[Request]:
        """Those that may come in between the pieces of another client's command, and that no pause holds; the
        others wait."""
        table, pause = choose_table(self._server.node), self._server.pause
        for index, request in enumerate(requests):
            entry = find_entry(table, request[0])
            if entry is None:
                continue
            handler, command = entry[0], entry[-1]
            if handler is not command.handler:
                continue  # the node refuses it, and says where to go
            waits_for_pieces = self._pieces.under_way and command.may_write
            if not waits_for_pieces and not pause.holds(reads=command.reads, writes=command.may_write):
                continue

            self.backlog.extendleft(reversed(requests[index:]))
            self._client.stopped |= WAITING
            if waits_for_pieces:
                self._pieces.wait(lambda: self._go_on(WAITING))
            else:
                pause.wait(self._client, lambda: self._go_on(WAITING))
            return requests[:index]
        return requests


def _refusal_of(check: Check, request: Request) -> bytes | None:
    try:
        return check(request)
    except Refused as refused:
        return refused.reply
