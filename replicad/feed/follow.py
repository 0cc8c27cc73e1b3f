"""`replicad.follow`: the log of a running node as an async iterator, over restarts of either side.

    (not connected) ──connect──> (connected) ──REPLICAD.FRAMES, again and again──> updates
           ^                          │
           └──(an error that time mends, after a pause; a cancellation)

The feed asks for a piece of log only when its program has taken what came before. So a program that stops
reading holds one piece, here and at the node. Each piece is checked against the position before it, also the
first one after a connection was lost: the node says whether it has that position in its history.

There is no task in the background: everything happens within the calls of the program.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from replicad.errors import (
    InvalidArgument,
    LogGoneError,
    NotFoundError,
    ReplicadError,
    SlotLostError,
    WrongDatabaseError,
)
from replicad.feed.acknowledgements import Acknowledgements
from replicad.feed.feed_filter import FeedFilter
from replicad.feed.refusals import NotReady
from replicad.net.addresses import parse_address
from replicad.store.updates import Update
from replicad.types import Position

if TYPE_CHECKING:
    import ssl as ssl_module

    from replicad.feed.node_connection import NodeAccess, NodeConnection

PIECE_BYTES = 1 << 18
"""Of log in one reply; a larger batch comes alone."""
BLOCK_SECONDS = 1.0
"""How long the node waits for the next batch; then what was acknowledged meanwhile is sent."""
ACKNOWLEDGE_SECONDS = 1.0
"""Acknowledgements of this time go together."""
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.1, 5.0

Result = TypeVar("Result")


def follow(
    address: str,
    *,
    since: int | Position | None = None,
    slot: str | None = None,
    families: Iterable[str] = (),
    prefixes: Iterable[bytes] = (),
    ssl: ssl_module.SSLContext | bool | None = None,
    user: str | None = None,
    password: str | bytes | None = None,
    attempt_seconds: float = 10.0,
    on_retry: Callable[[Exception], None] = lambda error: None,
) -> Feed:
    """The updates of the node at this client address (HOST:PORT, or unix:/PATH), as they become durable.

    `since`: a sequence number begins at the batch that holds it, a position after it, if the node has it in
    its history. Without it the feed begins where `slot` is, and without either at the end of the log. A slot
    holds the log for this feed until `acknowledge`; a node that does not have it makes it, if `since` says
    where. `families` (names) and `prefixes` of keys choose operations.

    An attempt to reach the node may take `attempt_seconds`; `on_retry` hears what it failed of.

    >>> async with replicad.follow("127.0.0.1:6380", slot="search") as feed:    # doctest: +SKIP
    ...     async for update in feed:
    ...         index(update.operations)
    ...         feed.acknowledge(update.position)
    """
    from replicad.feed.node_connection import NodeAccess

    if address.startswith("unix:"):
        host, port = address.removeprefix("unix:"), 0
    else:
        host, port = parse_address(address)
    access = NodeAccess(host=host, port=port, tls=ssl, user=user, password=password)
    chosen = FeedFilter(tuple(families), prefixes)
    return Feed(
        access, since=since, slot=slot, chosen=chosen, attempt_seconds=attempt_seconds, on_retry=on_retry
    )


class Feed:
    """At least once and in order; never an update that does not follow the one before. One task at a time.

    What time does not mend is raised: LogGoneError, SlotLostError, DivergedError, WrongDatabaseError,
    SlotInUseError, LoginRefusedError, NotFoundError, ProtocolError, CorruptionError.
    """

    def __init__(
        self,
        access: NodeAccess,
        *,
        since: int | Position | None,
        slot: str | None,
        chosen: FeedFilter,
        attempt_seconds: float,
        on_retry: Callable[[Exception], None],
    ) -> None:
        if isinstance(since, int) and since < 0:
            raise InvalidArgument(f"since is {since}, and sequence numbers begin at 1")
        self._access = access
        self._slot = slot
        self._chosen = chosen
        self._attempt_seconds = attempt_seconds
        self._on_retry = on_retry

        self._after: Position | int | None = max(1, since) if isinstance(since, int) else since
        """What is asked for next: the log after a position, or from the batch with a number on."""
        self._database: bytes | None = None
        self._slot_node: str | None = None
        """The node that had the slot when this feed read it last."""
        self._reader = secrets.token_hex(16)

        self._connection: NodeConnection | None = None
        self._ready: deque[Update] = deque()
        self._acknowledged = Acknowledgements()
        self._acknowledged_at = float("-inf")
        self._failures = 0
        self._is_closed = False
        self._is_used = False

    # What its program calls.

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Update:
        if self._is_closed:
            raise StopAsyncIteration
        if self._is_used:
            raise InvalidArgument("another task waits for this feed: give each task one of its own")
        self._is_used = True
        try:
            return await self._next()
        finally:
            self._is_used = False

    async def connect(self) -> None:
        """Makes one attempt, and raises what it failed of, also OSError. Without it the first update does."""
        if self._connection is None:
            await self._within(self._connect(), self._attempt_seconds)

    def acknowledge(self, position: Position) -> None:
        """Everything up to this position is processed: the slot may move there. Sent within a second or so,
        while the feed is read, and when it is closed."""
        if self._slot is None:
            raise InvalidArgument("this feed has no slot that an acknowledgement could move")
        self._acknowledged.acknowledge(position)

    async def flush(self) -> None:
        """Has the slot know what is acknowledged, if the node can be reached. Raises what it fails of."""
        if self._acknowledged.pending is not None:
            await self.connect()
            await self._within(self._send_acknowledged(), self._attempt_seconds)

    async def aclose(self) -> None:
        """Sends what is acknowledged, unless the connection is lost, and ends the feed."""
        try:
            if self._connection is not None:
                await self.flush()
        except (ReplicadError, OSError, TimeoutError):
            # The slot stays further back: the next reader gets those updates again.
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Ends the feed at once."""
        self._is_closed = True
        self._ready.clear()
        self._disconnect()

    async def __aenter__(self) -> Feed:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception):
            await self.aclose()
        else:
            self.close()

    # What comes next.

    async def _next(self) -> Update:
        while True:
            await self._acknowledge_when_due()
            while self._ready:
                update = self._ready.popleft()
                chosen = self._chosen.choose(update)
                if chosen is not None:
                    self._acknowledged.gave(update.position)
                    return chosen
                self._acknowledged.skipped(update.position)
            await self._retrying(self._fill)

    async def _acknowledge_when_due(self) -> None:
        if self._slot is None or self._acknowledged.pending is None:
            return
        if asyncio.get_running_loop().time() - self._acknowledged_at >= ACKNOWLEDGE_SECONDS:
            await self._retrying(self._send_acknowledged)

    async def _fill(self) -> None:
        """Asks for the next piece once; nothing may have come when this returns."""
        from replicad.feed.frames import updates_in

        connection, after = self._connected, self._after
        assert after is not None and self._database is not None
        wanted = after if isinstance(after, int) else after.sequence + 1
        try:
            frames: bytes = await connection.call(
                *("REPLICAD.FRAMES", wanted, PIECE_BYTES, "BLOCK", int(BLOCK_SECONDS * 1000)),
                requested=wanted,
            )
        except LogGoneError as error:
            if self._slot is None:
                raise
            raise SlotLostError(
                f"{self._access.address}: slot {self._slot} let its log go: {error}. Drop the slot, make a "
                "new one, and copy the data again"
            ) from None
        if frames:
            updates = updates_in(frames, self._database, after)
            self._ready.extend(updates)
            self._after = updates[-1].position

    async def _send_acknowledged(self) -> None:
        pending = self._acknowledged.pending
        assert self._slot is not None
        if pending is not None:
            await self._connected.call("REPLICAD.SLOT", "ACK", self._slot, str(pending))
            self._acknowledged.sent = pending
        self._acknowledged_at = asyncio.get_running_loop().time()

    # Attempts.

    async def _retrying(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs the step once with success, on as many connections as that takes."""
        while True:
            try:
                if self._connection is None:
                    await self._within(self._connect(), self._attempt_seconds)
                await self._within(step(), BLOCK_SECONDS + self._attempt_seconds)
            except (OSError, TimeoutError) as error:
                self._disconnect()
                self._on_retry(error)
                longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2**self._failures)
                self._failures = min(self._failures + 1, 16)
                await asyncio.sleep(longest * random.uniform(0.5, 1))
            except BaseException:
                self._disconnect()
                raise
            else:
                self._failures = 0
                return

    async def _within(self, work: Coroutine[Any, Any, Result], seconds: float) -> Result:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            raise TimeoutError(f"{self._access.address}: no answer within {seconds:g} s") from None

    async def _connect(self) -> None:
        """Connects, and finds out where this node goes on."""
        from replicad.feed.node_connection import NodeConnection

        connection = await NodeConnection.open(self._access)
        try:
            status = json.loads(await connection.call("REPLICAD.STATUS"))
            self._check_database(status)
            if self._chosen.families:
                pairs = await connection.call("REPLICAD.FAMILY", "LIST")
                self._chosen.learn({name.decode(): int(id) for name, id in pairs}, connection.address)
            if self._slot is not None:
                position = await self._take_slot(connection, status["node_id"])
                if self._after is None:
                    self._after = position
            if self._after is None:
                self._after = Position.parse(status["durable_position"])
            if isinstance(self._after, Position):
                await connection.call("REPLICAD.WAITPOS", str(self._after), 1)
        except BaseException:
            connection.abort()
            raise
        self._connection = connection

    def _check_database(self, status: dict[str, Any]) -> None:
        if status.get("database_id") is None or status.get("durable_position") is None:
            raise NotReady(f"{self._access.address} has no data yet")
        database = bytes.fromhex(status["database_id"])
        if self._database is not None and database != self._database:
            raise WrongDatabaseError(
                f"{self._access.address} has the database {database.hex()}, and this feed reads "
                f"{self._database.hex()}"
            )
        self._database = database

    async def _take_slot(self, connection: NodeConnection, node: str) -> Position:
        """The slot's position. A node that never had the slot makes it, where it is known where to begin."""
        assert self._slot is not None
        read = ("REPLICAD.SLOT", "READ", self._slot, self._reader)
        try:
            position = await connection.call(*read)
        except NotFoundError:
            begin = self._acknowledged.done or self._after
            if begin is None or self._slot_node == node:
                raise
            where = ("SINCE", begin) if isinstance(begin, int) else ("AFTER", str(begin))
            requested = begin if isinstance(begin, int) else begin.sequence + 1
            await connection.call("REPLICAD.SLOT", "CREATE", self._slot, *where, requested=requested)
            position = await connection.call(*read)
        self._slot_node = node
        return Position.parse(position.decode())

    @property
    def _connected(self) -> NodeConnection:
        assert self._connection is not None
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
