"""The client port: connections, the group of this tick, and what happens when the store moves.

    ClientConnection --put--> WriteGroup --submit--> Database
    Database --moved (any thread)--> _wake --> release held replies

One listener and any number of connections on one event loop, which owns everything here but the threads'
work. Nothing on the loop waits for a disk sync or walks over many keys.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, TypeVar, cast

import structlog

from replicad import kernels
from replicad.env import Clock, SystemClock
from replicad.errors import CorruptionError
from replicad.server import refusals
from replicad.server.commands import COMMANDS, READ_ONLY, STALE, WRITABLE
from replicad.server.commands.table import Table
from replicad.server.connection import ClientConnection
from replicad.server.cursors import Cursors
from replicad.server.interfaces import Node
from replicad.server.key_count import KeyCount
from replicad.server.options import ServerOptions
from replicad.server.pieces import Pieces
from replicad.server.session import ClientState
from replicad.server.stats import ServerStats
from replicad.server.watches import Watches
from replicad.server.writes import WriteGroup, replicas_missing, write_refused
from replicad.store.batch import WriteBatch
from replicad.store.database import Database
from replicad.store.reading import Snapshot

log = structlog.get_logger()

_INSPECT_SECONDS = 1.0
_LOOK_UP_THREADS = 2

Result = TypeVar("Result")


class RespServer:
    """Serves `store` to Redis clients.

    `shutdown` is called, once, when a client says SHUTDOWN; it must lead to `close`. Make it, `start` it on
    the running loop, `close` it before the store is closed.
    """

    def __init__(
        self,
        store: Database,
        node: Node,
        *,
        shutdown: Callable[[], None],
        options: ServerOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.store = store
        self.node = node
        self.options = options or ServerOptions()
        self.commands = COMMANDS
        self.version = version("replicad")
        self.durability = store.options.durability
        self.loop = asyncio.get_running_loop()
        self.now = (clock or SystemClock()).monotonic
        self.address: tuple[str, int] = ("", 0)
        self.started_at = self.now()
        self.run_id = secrets.token_hex(20)
        self.stats = ServerStats()

        # The clients, and what they hold.
        self.connections: dict[ClientConnection, None] = {}
        """In the order in which they came, which is the order in which they are served."""
        self.relieve_at = self.options.buffered_bytes_max // 4
        """Of input bytes: when that many have come, what clients have buffered is looked at again."""
        self.building = asyncio.Lock()
        """Held while a reply is built that may take `built_bytes_max` several times over."""
        self.holding: dict[ClientState, None] = {}

        # What clients share: one group of writes a tick, and one command in pieces at a time.
        self.watches = Watches()
        self.group = WriteGroup(store, self.watches, self._schedule_group)
        self.pieces = Pieces(self)
        self.role_changes = 0
        self.cursors = Cursors()
        self._key_counts: dict[int, KeyCount] = {}
        self.new_batch: Callable[[], WriteBatch] = cast(Callable[[], WriteBatch], kernels.Batch)
        self.stalled = False

        # The life of the server. A release that begins within a release runs after it (`_release`).
        self._shutdown = shutdown
        self._closing = False
        self._woken = False
        self._releasing = False
        self._release_again = False
        self._listener: asyncio.Server | None = None
        self._unsubscribe: Callable[[], Any] = lambda: None
        self._expiry: asyncio.TimerHandle | None = None
        self._inspection: asyncio.TimerHandle | None = None

        # Look-ups of moments have threads of their own: they must not wait for walks over all the data.
        self._threads = ThreadPoolExecutor(self.options.threads_max, thread_name_prefix="resp")
        self._look_ups = ThreadPoolExecutor(_LOOK_UP_THREADS, thread_name_prefix="resp-look-up")
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._next_id = 1

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listens; returns the address, which names the port when `port` is 0."""
        unsubscribe = [self.store.subscribe(self.store_moved), self.node.waits.subscribe(self._release)]
        self._unsubscribe = lambda: [end() for end in unsubscribe]
        self._listener = await self.loop.create_server(
            lambda: ClientConnection(self), host, port, backlog=1024
        )
        self.address = self._listener.sockets[0].getsockname()[:2]
        self._inspection = self.loop.call_later(_INSPECT_SECONDS, self._inspect)
        self._wake()
        log.info("server.listening", host=self.address[0], port=self.address[1])
        return self.address

    async def close(self, drain_seconds: float = 10.0) -> None:
        """Takes nothing more, sends the replies under way for at most `drain_seconds`, ends every
        connection.
        """
        self._closing = True
        if self._listener is not None:
            self._listener.close()
        for client in list(self.connections):
            client.end()
        self.submit_group()
        if not self.node.is_writable:
            self._fail_held()
        try:
            await self.wait_until(lambda: not self.connections, drain_seconds)
        finally:
            if self.connections:
                log.warning("server.clients_aborted", clients=len(self.connections))
            for client in list(self.connections):
                client.abort()
            for timer in (self._inspection, self._expiry):
                if timer is not None:
                    timer.cancel()
            self._unsubscribe()
            for threads in (self._threads, self._look_ups):
                await asyncio.to_thread(threads.shutdown, cancel_futures=True)

    @property
    def table(self) -> Table:
        """The commands as this node takes them now."""
        if self.node.is_writable:
            return WRITABLE
        return READ_ONLY if self.node.reads_refused is None else STALE

    def key_count(self, family: int) -> KeyCount:
        counter = self._key_counts.get(family)
        if counter is None:
            there = set(self.store.families.values())
            self._key_counts = {id: known for id, known in self._key_counts.items() if id in there}
            counter = self._key_counts[family] = KeyCount(self.store, self.now, family)
        return counter

    def request_shutdown(self) -> None:
        if not self._closing:
            self._closing = True
            log.info("server.shutdown_requested")
            self.loop.call_soon(self._shutdown)

    # Connections.

    def admit(self, client: ClientConnection) -> bytes | None:
        """Takes a new connection in, or returns the refusal."""
        self.stats.connections += 1
        if len(self.connections) >= self.options.clients_max or self._closing:
            self.stats.rejected += 1
            return refusals.SHUTTING_DOWN if self._closing else refusals.TOO_MANY_CLIENTS
        client.id = self._next_id
        self._next_id += 1
        self.connections[client] = None
        return None

    def forget(self, client: ClientConnection) -> None:
        self.connections.pop(client, None)
        self.holding.pop(client, None)
        if self._closing:
            self._settle_waiters()

    def _inspect(self) -> None:
        """Closes clients that stand still in the middle of something, and the largest when all take too
        much.
        """
        now = self.now()
        for client in list(self.connections):
            reason = client.overdue(now)
            if reason is not None:
                self._close_for(client, reason)
        self.relieve()
        self._inspection = self.loop.call_later(_INSPECT_SECONDS, self._inspect)

    def relieve(self) -> None:
        """Refuses the writes that are held, then closes the largest clients, until the rest together take no
        more than they may.
        """
        limit = self.options.buffered_bytes_max
        self.relieve_at = self.stats.input_bytes + limit // 4

        # Sizes are taken once: closing a client gives its memory back only later.
        sizes = {client: client.buffered_bytes for client in self.connections if not client.aborted}
        excess = sum(sizes.values()) - limit

        # Writes that wait for the role go first: refusing them ends no connection, and none of them was done.
        waiting = self.group.weigh() if self.node.holds_writes() else 0
        if waiting and excess + waiting > 0:
            log.warning("server.writes_refused", batches=len(self.group.batches), size_bytes=waiting)
            self.group.refuse(refusals.TOO_MUCH_WAITS)
            self._release()

        # Then those that take most, so that the fewest lose their connection.
        for client in sorted(sizes, key=sizes.__getitem__, reverse=True) if excess > 0 else ():
            if excess <= 0:
                break
            self._close_for(client, "takes the most of too much memory")
            excess -= sizes[client]

    def _close_for(self, client: ClientConnection, reason: str) -> None:
        self.stats.closed_for_limits += 1
        log.warning("server.client_closed", client=client.peer, reason=reason)
        client.abort()

    def found_corruption(self, error: CorruptionError) -> None:
        """A read met bytes that are not what was written. From any thread."""
        self.loop.call_soon_threadsafe(self.node.found_corruption, error)

    # The store moves.

    def _schedule_group(self) -> None:
        self.loop.call_soon(self.submit_group)

    def submit_group(self) -> None:
        """Hands the group to the store; under "async" its replies go out at once. A held one waits."""
        if self.node.holds_writes() and self.store.failed is None:
            if self._closing:
                self.group.refuse(refusals.SHUTTING_DOWN)
                self._release()
            return
        if not self.node.is_writable:
            self.group.refuse(refusals.read_only(self.node.primary_address))
            self._release()
            return
        count = len(self.group.batches)
        if self.group.submit():
            self.stats.groups += 1
            self.stats.commits += count
            self._release()
            self._notice_stall()

    def role_changed(self) -> None:
        """Writes that waited go to the store, or are refused; so are answers that waited."""
        self.role_changes += 1
        if not self.node.is_writable:
            self.group.refuse(refusals.read_only(self.node.primary_address))
            self._fail_held()
            return
        self.submit_group()
        self._wake()

    def _fail_held(self) -> None:
        reply = refusals.outcome_unknown(self.node.primary_address)
        for client in list(self.holding):
            client.fail_held(reply)

    def store_moved(self) -> None:
        """Has what waits for the store looked at soon. Called in any thread, often."""
        if not self._woken:
            self._woken = True
            try:
                self.loop.call_soon_threadsafe(self._wake)
            except RuntimeError:
                self._woken = False  # the loop ended

    def _wake(self) -> None:
        self._woken = False
        self._release()
        self._notice_stall()
        if self._waiters:
            self._settle_waiters()

    def _release(self) -> None:
        """What is released may run a client's next commands, which may lead here again: that comes after."""
        self._release_again = True
        if self._releasing:
            return
        self._releasing = True
        try:
            while self._release_again:
                self._release_again = False
                self._release_all()
        finally:
            self._releasing = False

    def _release_all(self) -> None:
        if not self.holding:
            return

        # A store that failed makes nothing visible any more: whoever waits is told now.
        failure = self.store.failed
        if failure is not None:
            reply = write_refused(failure)
            self.group.refuse(reply)
            for client in list(self.holding):
                client.fail_held(reply)
            return

        # Nothing is acknowledged while the node does not know whether it is still primary.
        visible = 0 if self.node.holds_answers() else self.store.latest_sequence
        released = self.node.waits.released(visible)

        # Replies of one client go out in their order, so its first one decides. Releasing may run the
        # client's next commands, which may end other clients: hence the copy of the list.
        for client in list(self.holding):
            if not client.held:
                continue
            first = client.held[0]
            if first.sequence <= (released if first.for_replicas else visible):
                client.release(visible, released)

        # Writes that wait for replicas are answered after a time even when nothing moves.
        if released < visible and self.holding and self._expiry is None:
            self._expire()

    def _expire(self) -> None:
        """Answers writes whose replicas take too long with what is true; comes again while any wait."""
        self._expiry = None
        waits, now = self.node.waits, self.now()
        visible = 0 if self.node.holds_answers() else self.store.latest_sequence
        late = [
            segment
            for client in self.holding
            for segment in client.held
            if segment.for_replicas
            and 0 < segment.sequence <= visible
            and now - segment.since > waits.timeout_seconds
        ]
        for segment in late:
            here = self.store.durable_sequence >= segment.sequence
            segment.fail(replicas_missing(waits.lacking(segment.sequence), segment.sequence, here))
        if self.holding and not self._closing:
            self._expiry = self.loop.call_later(min(1.0, waits.timeout_seconds / 4), self._expire)
        if late:
            self._release()

    def _notice_stall(self) -> None:
        """While the store cannot keep up, no socket is read. One that takes no writes, or that refuses them
        because its disk is full, is not waited for: it answers reads."""
        stalled = bool(self.store.stalled) and self.store.refused is None and self.node.is_writable
        if stalled is not self.stalled:
            self.stalled = stalled
            log.info("server.stalled" if stalled else "server.resumed", reason=self.store.stalled or None)
            for client in list(self.connections):
                client.settle()

    async def wait_until(self, condition: Callable[[], bool], timeout_seconds: float | None) -> bool:
        """Waits until the condition, looked at when the store moves, holds; False when the time is over.

        None is for ever.
        """
        if condition():
            return True
        waiter = (condition, self.loop.create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter[1]
        except TimeoutError:
            return condition()
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return True

    def _settle_waiters(self) -> None:
        for waiter in list(self._waiters):
            condition, future = waiter
            if condition():
                self._waiters.remove(waiter)
                if not future.done():
                    future.set_result(None)

    # Commands that take long.

    async def look_up(self, work: Callable[[], Result]) -> Result:
        """What a thread finds in moments; it does not stand behind those that walk over the data."""
        return await self.loop.run_in_executor(self._look_ups, work)

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        return await self.loop.run_in_executor(self._threads, work)

    def begin_in_thread(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        return self.loop.run_in_executor(self._threads, work)

    def run_look_up(self, client: ClientConnection, work: Callable[[], bytes]) -> None:
        """The command's reply is what `work` finds in moments, once the replies before it are out."""
        self._answer(client, lambda: self.loop.run_in_executor(self._look_ups, work), _as_it_is)

    def run_in_thread(self, client: ClientConnection, work: Callable[[], bytes]) -> None:
        """The same for work of any length. It never begins when the client is gone by then."""
        self._answer(client, lambda: self.loop.run_in_executor(self._threads, work), _as_it_is)

    def run_on_snapshot(
        self,
        client: ClientConnection,
        work: Callable[[Snapshot], Any],
        encode: Callable[[Any], bytes] | None = None,
    ) -> None:
        """The same on a snapshot of the visible state; `encode` makes the reply, on the loop."""

        def on_snapshot() -> Any:
            snapshot = self.store.snapshot()
            try:
                return work(snapshot)
            finally:
                snapshot.close()

        self._answer(
            client, lambda: self.loop.run_in_executor(self._threads, on_snapshot), encode or _as_it_is
        )

    def run_task(self, client: ClientConnection, work: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
        """The same for what waits on the loop. It is cancelled when the client says or shows that it goes."""

        def start() -> asyncio.Task[bytes]:
            task = self.loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return task

        self._answer(client, start, _as_it_is)

    def _answer(
        self,
        client: ClientConnection,
        start: Callable[[], asyncio.Future[Any]],
        encode: Callable[[Any], bytes],
    ) -> None:
        def begin() -> None:
            work = start()
            work.add_done_callback(finish)
            client.began(work)

        def finish(done: asyncio.Future[Any]) -> None:
            if done.cancelled():
                reply = refusals.GIVEN_UP
            else:
                try:
                    reply = encode(done.result())
                except Exception as error:
                    reply = client.explain(error, client.command)
            client.finish(reply)

        client.run_when_released(begin)


def _as_it_is(reply: bytes) -> bytes:
    return reply
