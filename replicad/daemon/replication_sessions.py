"""The connections that come to the replication port: the first message says what each is for.

HELLO             a replica, or somebody who wants a copy: served from the open store
STANDING          a node says who it is; it is answered in kind
HANDOVER, GRANT   the primary hands its role to this node
"""

from __future__ import annotations

import asyncio

from replicad.daemon.open_store import OpenStore
from replicad.daemon.roles.lost_tail import LostTail
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.takeover import Takeover
from replicad.env.events import get_logger
from replicad.errors import ReplicadError, RoleRefused
from replicad.replication.wire.connection import TcpConnection
from replicad.replication.wire.messages import Grant, Handover, Message, Refuse, StandingMessage

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
    ) -> None:
        self._handshake_seconds = handshake_seconds
        self._store = store
        self._survey = survey
        self._takeover = takeover
        self._lost_tail = lost_tail

    async def serve(self, connection: TcpConnection) -> None:
        """Runs one connection to its end."""
        try:
            async with asyncio.timeout(self._handshake_seconds):
                first = await connection.receive()

            if isinstance(first, StandingMessage):
                self._survey.heard_unasked(first)
                connection.send(self._survey.introduce())
            elif isinstance(first, Handover | Grant):
                connection.send(await self._answer(first))
            elif self._store.feed is None:
                connection.send(Refuse("no-data", "this node has no data yet", True))
            elif self._lost_tail.is_sought:
                # A replica may be further than this node, and would take that for another history.
                connection.send(Refuse("recovering", "this primary looks for log that it lost", True))
            else:
                await self._store.feed.serve(connection, first)
        except (ReplicadError, OSError, TimeoutError) as error:
            # The peer is told, so that its log says what was wrong as well.
            connection.send(Refuse("error", f"{type(error).__name__}: {error}"[:1000], True))
            log.info(
                "replication.session_ended", peer=connection.peer, reason=str(error) or "no HELLO in time"
            )
        finally:
            connection.close()

    async def _answer(self, message: Handover | Grant) -> Message:
        if isinstance(message, Handover):
            return await self._takeover.get_ready(message)
        try:
            await self._takeover.take_over(message)
        except RoleRefused as error:
            return Refuse("not-taken", str(error), True)
        return self._survey.introduce()
