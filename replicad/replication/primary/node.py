"""The primary's side of replication: one task a session, from HELLO to the end of the connection.

    HELLO/WELCOME ──> CLAIM/DECISION ──> stream ...
                             │    └────> copy, until INSTALLED (the replica then connects again)
                             └─────────> REFUSE

A session's errors end that session only. What may end the node (a poisoned store) or its role (a higher
epoch) is for the daemon. A replica that feeds replicas runs this over its own database too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from replicad.env import Env
from replicad.env.events import bind, get_logger
from replicad.env.reasons import reason_of
from replicad.errors import (
    DivergedError,
    LogGoneError,
    PeerTimeoutError,
    ProtocolError,
    ReplicadError,
    TooManySessionsError,
)
from replicad.replication.copy.copies import Copies
from replicad.replication.options import ReplicationOptions
from replicad.replication.policy.agree import Code, Decision, History, Outcome, agree
from replicad.replication.policy.epoch_proof import why_unproven
from replicad.replication.policy.slot_states import SLOTS_MAX, to_forget, to_replace
from replicad.replication.policy.synchronous import Level, parse_rule
from replicad.replication.ports import DurableOnly, ListFiles, Records, SentAhead
from replicad.replication.primary.copying import Copying
from replicad.replication.primary.feed_slots import FeedSlots
from replicad.replication.primary.sender import Sender
from replicad.replication.primary.session import ReplicaSession
from replicad.replication.primary.slot_upkeep import SlotUpkeep
from replicad.replication.primary.slots import Slots
from replicad.replication.primary.waits import Acknowledged, Waits
from replicad.replication.tasks import beside, in_thread
from replicad.replication.traffic import Traffic
from replicad.replication.verify.answering import Answering, AnsweringSession
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.headers import NodeEntry
from replicad.replication.wire.identify import (
    COPY_ONLY,
    NODES,
    SOFTWARE,
    VERSIONS,
    WRITTEN,
    Identity,
    Whereabouts,
    check_hello,
    check_owner,
    common_features,
)
from replicad.replication.wire.keepalive import Echo, keep_alive
from replicad.replication.wire.messages import (
    Ack,
    Decided,
    Heartbeat,
    Hello,
    Join,
    Message,
    Nodes,
    PositionClaim,
    Refuse,
    Welcome,
    newest_epochs,
)
from replicad.store.database import Database
from replicad.types import Position

log = get_logger("replicad.replication")


class PrimaryNode:
    """All sessions of a primary. Everything here belongs to the event loop."""

    def __init__(
        self,
        env: Env,
        identity: Identity,
        source: Database,
        slots: Slots,
        records: Records,
        data_dir: Path,
        list_files: ListFiles,
        options: ReplicationOptions,
        *,
        whereabouts: Callable[[], Whereabouts] = Whereabouts,
        on_replica: Callable[[Hello], None] = lambda hello: None,
        nodes: Callable[[], tuple[NodeEntry, ...]] = tuple,
        on_higher_epoch: Callable[[int], None] = lambda epoch: None,
        may_be_behind: Callable[[], bool] = lambda: False,
        age_seconds: Callable[[bool], float | None] = lambda written: 0.0,
        ahead: SentAhead | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        """`on_replica` is told who connects, `on_higher_epoch` of a replica in an epoch above this node's.
        `nodes` are those that replicas hear about. `age_seconds`: how long ago the node that takes the writes
        surely had nothing that is not durable here, or not written. `ahead`: whether what is written is sent;
        by default only what is durable is."""
        self._ahead = ahead or DurableOnly()
        self.traffic = traffic or Traffic()
        self._age_seconds = age_seconds
        self._whereabouts = whereabouts
        self._on_replica = on_replica
        self._nodes = nodes
        self._on_higher_epoch = on_higher_epoch
        self._may_be_behind = may_be_behind

        self._env = env
        self._identity = identity
        self._source = source
        self._records = records
        self._options = options

        self.slots = slots
        self.upkeep = SlotUpkeep(env, source, slots, records)
        self.feed_slots = FeedSlots(env, source, slots, records)
        self.copies = Copies(env, source, data_dir, list_files)
        self._copying = Copying(env, source, slots, records, self.copies, options, self.traffic)

        self.sessions: dict[bytes, ReplicaSession] = {}
        self.answering: Answering | None = None
        """Answers the replicas' questions about the data; set by the owner of the budget for that."""

        self.waits = Waits(
            self._acknowledged,
            self._ask,
            rule=parse_rule(options.synchronous),
            level=Level(options.synchronous_level),
            timeout_seconds=options.synchronous_seconds_max,
        )

    async def serve(self, connection: Connection, first: Message | None = None) -> None:
        """Runs one session to its end; raises only a cancellation. `first` was received already."""
        try:
            await self._serve(connection, first)
        except TooManySessionsError as error:
            connection.send(Refuse("busy", str(error), True))
            self.traffic.refused["busy"] += 1
            log.warning("replication.refused", peer=connection.peer, code="busy", reason=str(error))
        except (ReplicadError, OSError) as error:
            if isinstance(error, ProtocolError):
                self.traffic.refused["protocol"] += 1
            reason = reason_of(error)
            connection.send(Refuse("error", reason[:1000], True))
            log.warning("replication.session_ended", peer=connection.peer, reason=reason)
        finally:
            connection.close()

    async def _serve(self, connection: Connection, first: Message | None) -> None:
        try:
            async with asyncio.timeout(self._options.handshake_seconds):
                hello = first or await connection.receive()
        except TimeoutError:
            raise PeerTimeoutError("no HELLO in time") from None

        # A further connection for the files of a copy belongs to a session that is there already.
        if isinstance(hello, Join):
            await self._join(connection, hello)
            return
        if not isinstance(hello, Hello):
            raise ProtocolError(f"{hello.KIND.name} came where HELLO belongs")

        # Before the older session is ended: only the same node takes its own place.
        certificate = connection.certificate
        names = None if certificate is None else certificate.names
        refusal = check_owner(hello, self._owner_of(hello.node), names)
        if refusal is None:
            await self._end_predecessor(hello)
            live = {node_id: session.hello.process for node_id, session in self.sessions.items()}
            refusal = check_hello(hello, self._identity, live)
        if refusal is not None:
            self.traffic.refused[refusal.code] += 1
            log.warning("replication.refused", peer=connection.peer, code=refusal.code, reason=refusal.reason)
            connection.send(refusal)
            return

        echo = self._echo(connection, takes_written=WRITTEN in hello.features)
        session = ReplicaSession(connection, hello, self._env.clock.monotonic(), echo)
        self.sessions[hello.node] = session
        self._on_replica(hello)

        try:
            connection.send(self._welcome(session))
            await beside(self._agreed(session), self._keep_alive(connection, session.echo))
        finally:
            # A later session of this node may have taken its place. Then the slot's reader is that one.
            if self.sessions.get(hello.node) is session:
                del self.sessions[hello.node]
                self.slots.end_reading(hello.node)
                self.upkeep.release()
                self.waits.changed()

            # The connections that joined a copy end with its session.
            if session.server is not None:
                session.server.close()

            # A copy that nobody reads may expire, or make room for another.
            if (copy := self.copies.get(hello.node)) is not None and hello.node not in self.sessions:
                copy.in_use = False
            self._forget_unknown(session)

            # The last step: the node's next session waits for it in `_end_predecessor`.
            session.ended.set()

    def _owner_of(self, node_id: bytes) -> str:
        """The certified name of the node with that id, by its slot or session; empty when none is known."""
        session, slot = self.sessions.get(node_id), self.slots.get(node_id)
        if slot is not None and slot.owner:
            return slot.owner
        return "" if session is None else session.owner

    def _forget_unknown(self, session: ReplicaSession) -> None:
        """Keeps nothing for a peer that took nothing and acknowledged nothing: anybody can say HELLO."""
        slot, server = self.slots.get(session.hello.node), session.server
        if server is not None and session.made_copy and not server.copy.sent_bytes:
            server.copy.used_at = float("-inf")  # the next tick removes it
        elif server is not None or session.state not in ("streaming", "copying"):
            return
        if slot is not None and not slot.acknowledged and session.hello.node not in self.sessions:
            self.slots.drop(session.hello.node)

    async def _make_room(self, node_id: bytes) -> None:
        """For a slot of one more replica. Raises TooManySessionsError when all are in use, or worth more."""
        slots = [slot for slot in self.slots.all() if not slot.is_feed]
        if len(slots) < SLOTS_MAX or self.slots.get(node_id) is not None:
            return

        known = {entry.node for entry in self._nodes()}
        least = to_replace(slots, self.sessions, known)
        if least is None or (least.node_id in known and node_id not in known):
            raise TooManySessionsError(f"this node has {len(slots)} replicas, the most that it keeps log for")

        log.warning("slot.replaced", node=least.node_id.hex(), name=least.name, by=node_id.hex())
        self.slots.drop(least.node_id)

    async def _join(self, connection: Connection, join: Join) -> None:
        """One connection more for the files of a copy that a session offers."""
        session = self.sessions.get(join.node)
        server = None if session is None or session.hello.process != join.process else session.server
        if server is None or server.copy.copy_id != join.copy:
            raise ProtocolError("no session of this replica offers that copy")
        bind(copy=join.copy.hex())
        echo = self._echo(connection, takes_written=False)
        await beside(server.join(connection), self._keep_alive(connection, echo))

    @property
    def newest(self) -> Position:
        """Nothing after it is sent to anybody yet."""
        return self._source.position if self._ahead.is_allowed else self._source.durable_position

    def _sends_written(self, *, takes_written: bool) -> bool:
        return takes_written and self._ahead.is_allowed

    def _newest_for(self, *, takes_written: bool) -> Position:
        return self.newest if takes_written else self._source.durable_position

    def _echo(self, connection: Connection, *, takes_written: bool) -> Echo:
        return Echo(
            connection,
            self._env.clock,
            lambda: self._newest_for(takes_written=takes_written),
            lambda: self._age_seconds(self._sends_written(takes_written=takes_written)),
            answer_seconds=self._options.heartbeat_seconds / 2,
        )

    async def _keep_alive(self, connection: Connection, echo: Echo) -> None:
        await keep_alive(
            connection,
            echo.beat,
            heartbeat_seconds=self._options.heartbeat_seconds,
            idle_seconds=self._options.idle_seconds,
            send_seconds=self._options.send_seconds,
        )

    async def _end_predecessor(self, hello: Hello) -> None:
        """The same run of a daemon that connects again takes its older session's place."""
        older = self.sessions.get(hello.node)
        if older is not None and older.hello.process == hello.process:
            older.connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.handshake_seconds):
                    await older.ended.wait()

    def _welcome(self, session: ReplicaSession) -> Welcome:
        me, hello = self._whereabouts(), session.hello

        # `check_hello` has refused a replica that has no version in common.
        return Welcome(
            max(set(hello.versions) & set(VERSIONS)),
            self._identity.node,
            self._identity.process,
            self._source.database_id,
            common_features(hello),
            SOFTWARE,
            int(self._options.heartbeat_seconds * 1000),
            self._newest_for(takes_written=session.takes_written),
            newest_epochs(self._source.epochs),
            me.replication,
            me.clients,
            me.path,
        )

    async def _agreed(self, session: ReplicaSession) -> None:
        claim = await self._receive_claim(session.connection)

        replica = None
        if claim.position is not None and session.hello.database is not None:
            replica = History(session.hello.database, claim.position, claim.epochs)

        # In a thread: the log is searched for the replica's position.
        decision = await in_thread(self._decide, replica)
        log.info(
            "replication.agreed",
            peer=session.connection.peer,
            node=session.hello.node.hex(),
            outcome=decision.outcome.value,
            code=decision.code.value,
            reason=decision.reason,
        )

        session.connection.send(
            Decided(
                decision.outcome.value,
                decision.code.value,
                decision.reason,
                self._newest_for(takes_written=session.takes_written),
                decision.fork,
            )
        )

        if decision.outcome is Outcome.STREAM:
            assert decision.start is not None
            await self._stream(session, decision.start - 1, claim)
        elif decision.outcome is Outcome.BOOTSTRAP:
            session.state = "copying"
            if COPY_ONLY in session.hello.features:
                await self._copying.serve_stranger(session)
            else:
                await self._make_room(session.hello.node)
                await self._copying.serve_replica(session, decision.code)
        else:
            self._stopped(session, decision, replica)

    async def _receive_claim(self, connection: Connection) -> PositionClaim:
        async with asyncio.timeout(self._options.handshake_seconds):
            message: Message = await connection.receive()
            while isinstance(message, Heartbeat):
                message = await connection.receive()
        if not isinstance(message, PositionClaim):
            raise ProtocolError(f"{message.KIND.name} came where CLAIM belongs")
        return message

    def _decide(self, replica: History | None) -> Decision:
        source = self._source
        found = None
        if replica is not None and replica.database_id == source.database_id:
            found = source.position_at(replica.position.sequence)
        # A replica may have any frame that was sent, also one that wants only durable log by now.
        me = History(source.database_id, self.newest, source.epochs)
        unproven = None
        if replica is not None:
            behind = self._may_be_behind()
            unproven = why_unproven(me, replica, source.position_at, may_be_behind=behind, asked=False)
        return agree(me, replica, found=found, oldest=source.oldest_log_sequence, unproven=unproven)

    async def _stream(self, session: ReplicaSession, sequence: int, claim: PositionClaim) -> None:
        node_id = session.hello.node
        await self._make_room(node_id)

        # A replica that streams has its data: a copy that was made for it is not needed any more.
        copy = self.copies.get(node_id)
        if copy is not None:
            await in_thread(self.copies.remove, copy)

        # From what is durable at the replica, not from what it applied: after a crash of its machine it comes
        # back with no more than that. The slot is recorded before any log is sent, so this node still holds
        # the log after a restart of its own.
        slot = self.slots.hold(
            node_id,
            min(sequence, claim.durable),
            self._env.clock.wall_us(),
            name=session.hello.name,
            owner=session.owner,
            log=self.upkeep.facts(),
        )
        self.slots.begin_reading(node_id)
        await self._records.put_slot(slot)
        if session.takes_written:
            await self._ahead.allow()

        sender = Sender(
            self._source,
            session.connection,
            self._options,
            sequence=sequence,
            durable=claim.durable,
            applied=claim.applied,
            on_ack=lambda ack: self._on_ack(node_id, ack),
            now=self._env.clock.monotonic,
            sends_written=lambda: self._sends_written(takes_written=session.takes_written),
            echo=session.echo,
            ask_through=self.waits.asked_through,
            answering=None
            if self.answering is None
            else AnsweringSession(self.answering, session.connection),
            traffic=self.traffic,
        )

        self.traffic.streams += 1
        session.sender = sender
        session.state = "streaming"

        # The replica remembers the other nodes for the day on which this one is dead.
        self._tell_nodes(session, ())
        self.waits.changed()

        # After log-gone the replica comes again, and the next session decides anew. Time does not mend a
        # divergence, so that is not retried.
        try:
            await sender.run()
        except LogGoneError as error:
            session.connection.send(Refuse(Code.LOG_GONE.value, str(error), True))
            raise
        except DivergedError as error:
            log.error("replication.diverged", node=node_id.hex(), reason=str(error))
            session.connection.send(Refuse(Code.DIVERGED.value, str(error), False))
            raise

    def _stopped(self, session: ReplicaSession, decision: Decision, replica: History | None) -> None:
        if decision.outcome is Outcome.FENCED and replica is not None:
            self._on_higher_epoch(replica.position.epoch)
        log.warning("replication.stopped", node=session.hello.node.hex(), reason=decision.reason)

    def _on_ack(self, node_id: bytes, ack: Ack) -> None:
        slot = self.slots.get(node_id)
        self.slots.advance(node_id, ack.durable, self._env.clock.wall_us())
        if slot is not None and not slot.acknowledged and slot.name:
            self._replace_of_that_name(slot.name, node_id)
        self.waits.changed()

    def _replace_of_that_name(self, name: str, node_id: bytes) -> None:
        """A replica that was made anew has another id: nobody comes back for the log of the one before."""
        for slot in self.slots.all():
            if slot.is_feed or slot.name != name:
                continue
            if slot.node_id != node_id and slot.node_id not in self.sessions:
                log.warning("slot.replaced", node=slot.node_id.hex(), name=name, by=node_id.hex())
                self.slots.drop(slot.node_id)

    def _acknowledged(self) -> list[Acknowledged]:
        return [
            (session.hello.name, node_id.hex(), session.sender.ack)
            for node_id, session in self.sessions.items()
            if session.sender is not None
        ]

    def _ask(self, through: int) -> None:
        for session in self.sessions.values():
            if session.sender is not None:
                session.sender.ask(through)

    def _tell_nodes(self, session: ReplicaSession, gone: tuple[bytes, ...]) -> None:
        if session.sender is not None and NODES in session.hello.features:
            others = tuple(entry for entry in self._nodes() if entry.node != session.hello.node)
            session.connection.send(Nodes(others, gone))

    # What the daemon calls.

    def reconfigure(self, options: ReplicationOptions) -> None:
        """Takes over what changes at run time."""
        self._options = options
        self._copying.reconfigure(options)
        self.slots.limits = options.slot_limits
        self.waits.reconfigure(
            parse_rule(options.synchronous),
            Level(options.synchronous_level),
            options.synchronous_seconds_max,
        )

    def tell_nodes(self, gone: tuple[bytes, ...] = ()) -> None:
        """Tells every replica that streams which other nodes there are, and which are to be forgotten."""
        for session in self.sessions.values():
            self._tell_nodes(session, gone)

    def is_caught_up(self) -> bool:
        """Whether every replica that streams has applied all that is sent to it."""
        return all(
            session.sender is None
            or session.sender.ack.applied >= self._newest_for(takes_written=session.takes_written).sequence
            for session in self.sessions.values()
        )

    async def tick(self) -> None:
        """About once a second: limits of slots, copies that nobody uses, slots to the node's state."""
        for slot in to_forget(self.slots.all(), self.sessions, self.slots.limits):
            log.info(
                "slot.forgotten", node=slot.node_id.hex(), name=slot.name, away_seconds=slot.idle_seconds
            )
            self.slots.drop(slot.node_id)

        # A node that began an epoch has to say so before it goes on to send what is not durable.
        if not self._ahead.is_allowed and any(each.takes_written for each in self.sessions.values()):
            await self._ahead.allow()

        self.feed_slots.tick()
        for node_id, reason in await self.upkeep.tick():
            self._end_session(node_id, reason)

        await self._copying.tick()

    @property
    def copy_bytes_per_second(self) -> int:
        """What all copies together may take; 0 means no limit."""
        return self._copying.bytes_per_second

    @copy_bytes_per_second.setter
    def copy_bytes_per_second(self, bytes_per_second: int) -> None:
        self._copying.bytes_per_second = bytes_per_second

    def drop_slot(self, node_id: bytes) -> bool:
        """Lets go of a replica's or a feed's log for good, and ends its session; whether there was a slot."""
        self._end_session(node_id, "its slot was dropped")
        self.feed_slots.dropped(node_id)
        return self.slots.drop(node_id)

    def _end_session(self, node_id: bytes, reason: str) -> None:
        session = self.sessions.get(node_id)
        if session is not None:
            log.warning("replication.session_ended", peer=session.connection.peer, reason=reason)
            session.connection.send(Refuse("slot", reason, True))
            session.connection.close()
