"""The client port: listens, takes clients in, closes those that take too much, and ends.

    RespServer --> Wire --> ClientConnection --> Execution --> commands --> ClientState --> WriteGroup

Arrows go one way: what stands on the left knows what stands on the right, and is called back from there
through callables that it handed over. One listener and any number of connections are on one event loop, which
owns everything but the threads' work. Nothing on the loop waits for a disk sync or walks over many keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from replicad import kernels
from replicad.env import Clock, SystemClock
from replicad.env.events import get_logger
from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Door, Listener
from replicad.net.guests import network_of
from replicad.net.unix import UnixListener, is_operator, listen_at
from replicad.server import refusals
from replicad.server.access.login import Login
from replicad.server.access.roles import Role
from replicad.server.access.users import OPERATOR, Users
from replicad.server.channels import Subscriber
from replicad.server.client_pause import Paused
from replicad.server.client_state import UNREAD, ClientState
from replicad.server.connection import ClientConnection
from replicad.server.interfaces import Node
from replicad.server.monitors import Watcher
from replicad.server.options import ServerOptions
from replicad.server.pieces import Pieces
from replicad.server.rounds import Rounds
from replicad.server.server_state import ConnectedClient, ServerState
from replicad.server.wires import SocketIntake, StreamWire
from replicad.store.database import Database

log = get_logger()

_INSPECT_SECONDS = 1.0
_PAUSED = {Paused.NOTHING: None, Paused.WRITES: "writes", Paused.ALL: "reads and writes"}
RESERVED_CLIENTS = 3
"""Beyond `clients_max`, for operators: PostgreSQL reserves as many for superusers."""
STRANGERS_SHARE = 2
"""`clients_max` divided by this is the most connections of clients that have not logged in."""
STRANGERS_OF_ADDRESS_SHARE = 4
"""`clients_max` divided by this is the most of them from one address; a proxy is one address."""


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
        login: Login | None = None,
    ) -> None:
        self.connections: dict[ClientState, ClientConnection] = {}
        """In the order in which they came, which is the order in which they are served."""
        self.state = ServerState(
            store,
            node,
            options or ServerOptions(),
            clock or SystemClock(),
            login=login or Login(Users({})),
            clients=self.connections.keys(),
            relieve=self._relieve,
            shutdown=shutdown,
            kill=self._kill,
        )
        self.pieces = Pieces(self.state)
        self.state.linked.stands_still = lambda: self.pieces.under_way or bool(self.state.pause.paused)
        self._rounds = Rounds(self.state, self._taken)
        self._committer = self.state.committer
        self._committer.on_stall = self._settle_all
        self.state.monitors.on_shown = lambda shown: self._send_to(shown, "does not read what MONITOR shows")
        self._listener: Listener | None = None
        self._unix_listener: UnixListener | None = None
        self._inspection: asyncio.TimerHandle | None = None
        self._next_id = 1

    async def start(
        self, address: Address, door: Door = CLEAR, unix: tuple[Path, int] | None = None
    ) -> Address:
        """Listens; returns the address, which names the port when that of `address` is 0. `unix` is the path
        of a Unix socket and its mode."""
        state = self.state
        has_rounds = (not door.is_tls or unix is not None) and self._rounds.start()
        # Only the transports of the event loop speak TLS.
        serve = self._intake if has_rounds and not door.is_tls else self._stream
        self._listener, state.address = await door.listen(serve, address, backlog=1024)
        if unix is not None and has_rounds:
            self._unix_listener = await listen_at(*unix, self._unix_intake)
        self._inspection = state.loop.call_later(_INSPECT_SECONDS, self._inspect)
        self._committer.start()
        log.info("server.listening", host=state.address[0], port=state.address[1])
        return state.address

    async def close(self, drain_seconds: float = 10.0) -> None:
        """Takes nothing more, sends the replies under way for at most `drain_seconds`, ends every
        connection.
        """
        for listener in (self._listener, self._unix_listener):
            if listener is not None:
                listener.close()
        # An operator who paused writes counts on what the node had then: what waits is not executed now.
        paused = self.state.pause.drop()
        for connection in list(self.connections.values()):
            connection.end(drops_backlog=connection.client in paused)
        self._committer.finish()
        try:
            await self.state.conditions.wait_until(lambda: not self.connections, drain_seconds)
        finally:
            if self.connections:
                log.warning("server.clients_aborted", clients=len(self.connections))
            for connection in list(self.connections.values()):
                connection.abort()
            if self._inspection is not None:
                self._inspection.cancel()
            self._rounds.close()
            self._committer.close()
            await self.state.workers.close()

    def role_changed(self) -> None:
        """Answers waiting and later writes by the node's new role."""
        if self.state.node.is_writable:
            self.state.linked.load()
        self._committer.role_changed()

    def publish(self, channel: bytes, message: bytes) -> None:
        """Says this to the clients that have subscribed to the channel."""
        self._send_to(self.state.channels.publish(channel, message), "does not read what is published")

    def users_changed(self) -> None:
        """Ends the connections of users that are no more, or are others now, and of those that a certificate
        logged in where certificates log nobody in any more."""
        login = self.state.login
        for connection in list(self.connections.values()):
            client = connection.client
            if not login.users.still_has(client.user):
                self._close_for(connection, f"user {client.user.name} was changed or removed")
            elif client.is_by_certificate and not login.by_certificate:
                self._close_for(connection, f"user {client.user.name} may not log in by certificate any more")

    def reconfigure(self, options: ServerOptions) -> None:
        """Takes over how many clients there may be, how much they buffer together, how long they may stand
        still, and what is slow. The other limits are those that it was made with."""
        self.state.options = replace(
            self.state.options,
            clients_max=options.clients_max,
            buffered_bytes_max=options.buffered_bytes_max,
            output_seconds_max=options.output_seconds_max,
            input_seconds_max=options.input_seconds_max,
            slow_seconds=options.slow_seconds,
        )
        self.state.slow_log.slow_seconds = options.slow_seconds
        self._relieve()

    def document(self) -> dict[str, Any]:
        """Clients and what they asked for, for the status document. Counts are since this data is served."""
        state = self.state
        stats = state.stats
        return {
            "connected": len(self.connections),
            "connected_max": state.options.clients_max,
            "waiting_for_commit": len(self._committer.holding),
            "paused": _PAUSED[state.pause.paused],
            "paused_seconds_left": round(state.pause.seconds_left, 3),
            "buffered_bytes": sum(each.buffered_bytes for each in self.connections.values()),
            "connections": stats.connections,
            "closed_for_limits": stats.closed_for_limits,
            "commands": stats.counts.commands,
            "error_replies": stats.error_replies,
            "internal_errors": stats.errors,
            "hits": stats.counts.hits,
            "misses": stats.counts.misses,
            "input_bytes": stats.counts.input_bytes,
            "output_bytes": stats.counts.output_bytes,
            "commits": stats.commits,
            "groups": stats.groups,
        }

    def refused_input(self) -> dict[str, int]:
        """What clients sent in vain, by kind."""
        stats = self.state.stats
        return {"malformed": stats.malformed, "connections": stats.rejected, "size": stats.closed_for_limits}

    # Connections.

    def _connection(self) -> ClientConnection:
        return ClientConnection(self.state, self.pieces, self._taken, self._admit, self._forget)

    def _stream(self) -> asyncio.Protocol:
        state = self.state
        return StreamWire(self._connection(), state.options.output_bytes_max, state.stats.counts)

    def _intake(self) -> asyncio.Protocol:
        return SocketIntake(lambda fd, peername: self._rounds.take_over(fd, peername, self._connection()))

    def _unix_intake(self) -> asyncio.Protocol:
        def take(fd: int, peername: object) -> None:
            connection = self._connection()
            if is_operator(fd):
                connection.client.come_as(OPERATOR)
            self._rounds.take_over(fd, peername, connection)

        return SocketIntake(take)

    def _taken(self) -> int:
        """Which commands the kernel may execute by itself now."""
        state = self.state
        node, paused = state.node, state.pause.paused
        if self.pieces.under_way or state.monitors.clients or paused is Paused.ALL:
            return kernels.TAKES_NOTHING
        if node.is_writable:
            if state.linked.families:
                state.linked.clock.look()
            writes = paused is Paused.NOTHING
            return kernels.TAKES_ALL if writes else kernels.TAKES_READS
        return kernels.TAKES_READS if node.reads_refused is None else kernels.TAKES_NOTHING

    def _admit(self, connection: ClientConnection) -> bytes | None:
        """Takes a new connection in, or returns the refusal."""
        stats, client = self.state.stats, connection.client
        stats.connections += 1
        if self._committer.closing:
            stats.rejected += 1
            return refusals.SHUTTING_DOWN

        network = network_of(client.host)
        self._make_room(network, is_stranger=client.is_stranger)
        most = self.state.options.clients_max + (RESERVED_CLIENTS if self._is_operator(client) else 0)
        if len(self.connections) >= most:
            stats.rejected += 1
            return refusals.TOO_MANY_CLIENTS

        client.id = self._next_id
        self._next_id += 1
        self.connections[client] = connection
        if client.is_stranger:
            self.state.strangers.add(client, network)
        return None

    def _is_operator(self, client: ClientState) -> bool:
        """Came over the Unix socket, or by the certificate of an administrator. Where there are no users
        everybody would be one."""
        if client.user is OPERATOR:
            return True
        return not self.state.login.users.is_open and Role.ADMIN in client.rights

    def _make_room(self, network: str, *, is_stranger: bool) -> None:
        """Sends away the client that has not logged in for longest, so that such clients keep nobody out: one
        that means to log in does so with its first request."""
        strangers, clients_max = self.state.strangers, self.state.options.clients_max
        leaves: ConnectedClient | None = None
        if is_stranger and strangers.count(network) >= max(1, clients_max // STRANGERS_OF_ADDRESS_SHARE):
            leaves = strangers.oldest(network)
        elif len(self.connections) >= clients_max or (
            is_stranger and len(strangers) >= max(1, clients_max // STRANGERS_SHARE)
        ):
            # An address that has as many as the others sends away one of its own.
            leaves = strangers.to_leave(network) or strangers.oldest(network) or strangers.oldest()
        if leaves is not None:
            connection = self.connections[cast(ClientState, leaves)]
            self._close_for(connection, "had not logged in when others came")
            self._forget(connection)

    def _forget(self, connection: ClientConnection) -> None:
        self.connections.pop(connection.client, None)
        self.state.monitors.forget(connection.client)
        self.state.channels.forget(connection.client)
        self.state.pause.forget(connection.client)
        self.state.strangers.remove(connection.client)
        if self._committer.closing:
            self.state.conditions.check()

    def _settle_all(self) -> None:
        """Has every connection look whether it may read."""
        for connection in list(self.connections.values()):
            connection.settle()

    # What clients may take.

    def _inspect(self) -> None:
        """Closes clients that stand still in the middle of something, and the largest when all take too
        much.
        """
        now = self.state.now()
        for connection in list(self.connections.values()):
            reason = connection.overdue(now)
            if reason is not None:
                self._close_for(connection, reason)
        self._relieve()
        self._inspection = self.state.loop.call_later(_INSPECT_SECONDS, self._inspect)

    def _relieve(self) -> None:
        """Refuses the writes that are held, then closes the largest clients, until the rest together take no
        more than they may.
        """
        state = self.state
        limit = state.options.buffered_bytes_max
        state.relieve_at = state.stats.counts.input_bytes + limit // 4

        # Sizes are taken once: closing a client gives its memory back only later.
        sizes = {each: each.buffered_bytes for each in self.connections.values() if not each.aborted}
        excess = sum(sizes.values()) - limit

        # Writes that wait for the role go first: refusing them ends no connection, and none of them was done.
        waiting = state.group.size_bytes if state.node.holds_writes() else 0
        if waiting and excess + waiting > 0:
            self._committer.refuse_held_writes()

        # Then those that take most, so that the fewest lose their connection.
        for connection in sorted(sizes, key=sizes.__getitem__, reverse=True) if excess > 0 else ():
            if excess <= 0:
                break
            self._close_for(connection, "takes the most of too much memory")
            excess -= sizes[connection]

    def _send_to(self, clients: Sequence[Watcher | Subscriber], unread: str) -> None:
        """Sends what there is for them beside their replies; one that does not read is closed for that."""
        for client in clients:
            connection = self.connections.get(cast(ClientState, client))
            if connection is not None:
                connection.settle()
                if connection.client.stopped & UNREAD:
                    self._close_for(connection, unread)

    def _kill(self, client: ConnectedClient) -> None:
        """Ends the connection at once, whatever it waits for."""
        for each, connection in list(self.connections.items()):
            if each is client:
                log.info("server.client_killed", client=client.peer, client_id=client.id)
                connection.abort()

    def _close_for(self, connection: ClientConnection, reason: str) -> None:
        self.state.stats.closed_for_limits += 1
        log.warning(
            "server.client_closed",
            client=connection.client.peer,
            client_id=connection.client.id,
            reason=reason,
        )
        connection.abort()
