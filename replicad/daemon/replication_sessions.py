"""The connections that come to the replication port: the first message says what each is for.

HELLO             a replica, or somebody who wants a copy: served from the open store
STANDING          a node says who it is; it is answered in kind
HANDOVER, GRANT   the primary hands its role to this node
PROMISE           a candidate asks that nothing of a lower epoch is acknowledged here any more
FAILSAFE          a leader that etcd does not answer asks whether this node follows it
LINK              the primary of another database wants what is linked of this one
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from replicad.daemon.failover.promises import Promises
from replicad.daemon.open_store import OpenStore
from replicad.daemon.roles.lost_tail import LostTail
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.takeover import Takeover
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import ProtocolError, ReplicadError, RoleRefused
from replicad.net.certificates import refusal_of_name, refusal_of_node
from replicad.net.doors import Door
from replicad.replication.traffic import Traffic
from replicad.replication.wire.connection import TcpConnection
from replicad.replication.wire.identify import COPY_ONLY
from replicad.replication.wire.messages import (
    Failsafe,
    Grant,
    Handover,
    Hello,
    LinkHello,
    Message,
    Promise,
    Refuse,
    StandingMessage,
)

log = get_logger("replicad.daemon")


class ReplicationSessions:
    def __init__(
        self,
        handshake_seconds: float,
        *,
        store: OpenStore,
        survey: PeerSurvey,
        takeover: Takeover,
        lost_tail: LostTail,
        door: Door,
        traffic: Traffic,
        serve_link: Callable[[TcpConnection, LinkHello], Awaitable[None]],
        promises: Promises | None = None,
    ) -> None:
        self._promises = promises
        self._handshake_seconds = handshake_seconds
        self._store = store
        self._survey = survey
        self._takeover = takeover
        self._lost_tail = lost_tail
        self._door = door
        self._traffic = traffic
        self._serve_link = serve_link

    async def serve(self, connection: TcpConnection) -> None:
        """Runs one connection to its end."""
        try:
            async with asyncio.timeout(self._handshake_seconds):
                first = await connection.receive()

            if (reason := self._refusal_of(connection, first)) is not None:
                log.warning("replication.refused", peer=connection.peer, code="certificate", reason=reason)
                self._traffic.refused["certificate"] += 1
                connection.send(Refuse("certificate", reason, False))
            elif isinstance(first, StandingMessage):
                self._survey.heard_unasked(first)
                connection.send(self._survey.introduce())
            elif isinstance(first, Handover | Grant | Promise | Failsafe):
                connection.send(await self._answer(first))
            elif isinstance(first, LinkHello):
                await self._serve_link(connection, first)
            elif self._store.feed is None:
                connection.send(Refuse("no-data", "this node has no data yet", True))
            elif self._lost_tail.is_sought:
                # A replica may be further than this node, and would take that for another history.
                connection.send(Refuse("recovering", "this primary looks for log that it lost", True))
            else:
                await self._store.feed.serve(connection, first)
        except (ReplicadError, OSError, TimeoutError) as error:
            self._traffic.refused["protocol" if isinstance(error, ProtocolError) else "error"] += 1
            reason = "no HELLO in time" if isinstance(error, TimeoutError) else reason_of(error)
            # The peer is told, so that its log says what was wrong as well.
            connection.send(Refuse("error", reason[:1000], True))
            log.warning("replication.session_ended", peer=connection.peer, reason=reason)
        finally:
            connection.close()

    def _refusal_of(self, connection: TcpConnection, first: Message) -> str | None:
        """Why this node is not talked with, by its certificate."""
        if not self._door.is_tls:
            return None
        certificate = connection.certificate
        if (reason := refusal_of_node(certificate, None, self._door.allow)) is not None:
            return reason
        if not isinstance(first, Hello):
            return None
        if COPY_ONLY in first.features and first.database is None:
            # It gets a copy. Who has data would be streamed to, and counted under its name.
            return None
        return refusal_of_name(certificate, first.name)

    async def _answer(self, message: Handover | Grant | Promise | Failsafe) -> Message:
        if isinstance(message, Promise | Failsafe):
            return await self._promised(message)
        if isinstance(message, Handover):
            return await self._takeover.get_ready(message)
        try:
            await self._takeover.take_over(message)
        except RoleRefused as error:
            return Refuse("not-taken", str(error), True)
        return self._survey.introduce()

    async def _promised(self, message: Promise | Failsafe) -> Message:
        promises = self._promises
        if promises is None:
            return Refuse("no-failover", "[failover] is not configured on this node", False)
        try:
            if isinstance(message, Promise):
                return await promises.promise(message)
            return promises.follows(message)
        except RoleRefused as error:
            return Refuse("not-promised", str(error), True)
