"""A node as a program, whoever it is at the moment: it follows, it is promoted, it is fenced, in place.

`replication.roles` draws the standings and decides; here are the effects, in the order that keeps promises:

    promote     end the link; the store begins its epoch; writes are taken; the record
    fence       refuse writes at once; the record; the store takes none any more; follow
    follow      the record; a link to the new primary

One change of role at a time holds `_changing`. Fencing does not wait for it: the standing moves at once, and
whatever was under way finds that out when it looks again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import structlog

from replicad.daemon.addresses import Address
from replicad.daemon.archived_log import TargetLog
from replicad.daemon.client_port import ClientPort
from replicad.daemon.config import NodeConfig, PrimaryConfig, ReplicaConfig
from replicad.daemon.holding import Holding
from replicad.daemon.http_port import HttpPort
from replicad.daemon.node import Shower, identity_of, node_state
from replicad.daemon.notify import notify
from replicad.daemon.peers import Peers, address_of
from replicad.daemon.records import NodeRecords
from replicad.daemon.resolve import resolve
from replicad.daemon.status import node_document, replica_views
from replicad.daemon.supervise import Stop, run_node, until_stopped
from replicad.daemon.switchover import Switchover, deliver_grant, get_ready, reached, take_over
from replicad.daemon.verification import Verification
from replicad.env import Env
from replicad.errors import CorruptionError, DiskFullError, PoisonedError, ReplicadError, StoreError
from replicad.replication.connection import TcpConnection, dial
from replicad.replication.follower import Follower
from replicad.replication.identify import Whereabouts
from replicad.replication.meeting import view_of
from replicad.replication.messages import Grant, Handover, Message, Refuse, Welcome
from replicad.replication.messages import Standing as StandingMessage
from replicad.replication.primary import PrimaryNode
from replicad.replication.roles import (
    MOVES,
    Candidate,
    Standing,
    Stored,
    Verdict,
    View,
    at_start,
    at_start_promotes,
    closes_loop,
    judge,
    may_promote,
)
from replicad.replication.slots import Slots
from replicad.replication.tasks import in_thread
from replicad.replication.waits import Waits
from replicad.server import ReplicaView
from replicad.server.interfaces import RoleRefused
from replicad.state import BootstrapProgress, RoleRecord, Shown
from replicad.store.checkpoint import list_files
from replicad.store.database import Database
from replicad.store.roles import recorded_role

log = structlog.get_logger("replicad.daemon")

TICK_SECONDS = 1.0
EXTEND_SECONDS = 60
LINK_STATES = {"streaming": "connected", "bootstrapping": "sync", "installing": "sync", "waiting": "connect"}
"""ROLE's words for the states of the link; the others are "connecting"."""


def run(config: PrimaryConfig | ReplicaConfig) -> None:
    """Runs a node until it is told to stop; raises what ended it otherwise."""
    run_node(_node, "replica" if isinstance(config, ReplicaConfig) else "primary", config)


async def _node(config: PrimaryConfig | ReplicaConfig, env: Env, stop: Stop) -> None:
    async with node_state(env, config.data) as records:
        node = NodeProgram(config, env, records, stop)
        try:
            await node.start()
            await until_stopped(
                stop,
                node.shower.run(),
                node.keep(),
                node.tick(),
                node.meet(),
                node.pulse(),
                node.verification.run(),
            )
        finally:
            await node.close()


class NodeProgram:
    """Satisfies the server's `Node` and replication's `ReplicaData`. Belongs to the event loop."""

    def __init__(
        self, config: PrimaryConfig | ReplicaConfig, env: Env, records: NodeRecords, stop: Stop
    ) -> None:
        view = records.state.view()
        self.config: NodeConfig = config
        self.verb: Literal["primary", "replica"] = (
            "replica" if isinstance(config, ReplicaConfig) else "primary"
        )
        self.env = env
        self.identity = identity_of(env, records, config)
        self.standing = Standing.FOLLOWING
        self.record: RoleRecord | None = view.role
        self._record_saved = view.role is not None
        self.primary, self.primary_clients = self._remembered_primary(config), ""
        self.path: tuple[bytes, ...] = ()
        self.known_sequence = None if view.role is None else view.role.primary_sequence
        self.clashes: str | None = None
        self.follower: Follower | None = None
        self.clients = ClientPort(config.listen, self, config.clients, lambda: stop.request("SHUTDOWN"))
        self.holding = Holding(config, env, records, self.clients, self._serve, self._make_feed, self._opened)
        self.http = HttpPort(self.status)
        self.listening: dict[str, str] = {}
        self.peers = Peers(env, records, self.identity.node, self._introduce)
        self.shower = Shower(env, records, self._shown)
        self.verification = Verification(env, records, config.verification, self)
        self.switchover: Switchover | None = None
        self.last_bootstrap: dict[str, Any] | None = None
        self._config = config
        self._records = records
        self._no_waits = Waits(lambda: [], lambda _: None)
        self._saved: BootstrapProgress | None = view.bootstrap
        self._following: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._meet_now = asyncio.Event()
        self._alive_at = env.clock.awake()

    # Its life.

    async def start(self) -> None:
        """Becomes what `at_start` says, and listens."""
        config, holding = self.config, self.holding
        found = recorded_role(self.env.fs, config.data)
        stored = None if found is None else Stored(*found)
        record = self.record
        begin = at_start(self.verb, record, stored, take_role=config.take_role)
        if begin.remembered is not None:
            log.warning("role.remembered", role=begin.role, reason=begin.remembered)
        if begin.role == "primary":
            self.standing = Standing.DOUBTING if len(self.peers) else Standing.PRIMARY
            if stored is not None and record is not None and at_start_promotes(record, stored):
                store = await holding.open("replica")
                await in_thread(store.promote, self.env.random.bytes(16), at_least=self._above_fences())
            else:
                await holding.open("owner")
        elif holding.has_data:
            self.standing = Standing.FENCED if self.primary is None else Standing.FOLLOWING
            await holding.open("replica")
        else:
            await self.clients.say_loading()
            notify("STATUS=waiting for a copy of the primary's data")
        address = await self._listen_for_replicas()
        self.listening = {"listen": str(self.clients.address), "replication": str(address)}
        if config.http is not None:
            self.listening["http"] = str(await self.http.start(config.http))
        await self._save_role(role=begin.role, replication_port=address.port)
        await self.shower.show()
        log.info("daemon.listening", role=begin.role, **self.listening)
        if self.standing is Standing.DOUBTING:
            self.spawn(self._find_certainty("it was started"))
        elif self.standing is Standing.FOLLOWING:
            if self.primary is not None and self.record is not None and self.record.granted_epoch is not None:
                self.spawn(deliver_grant(self, self.primary))
            else:
                self._start_following()

    async def _listen_for_replicas(self) -> Address:
        """Where it listened before, when the system chooses: others remember it."""
        wanted = self._config.replication
        if wanted.port == 0 and self.record is not None and self.record.replication_port:
            with contextlib.suppress(OSError):
                return await self.holding.replicas.start(Address(wanted.host, self.record.replication_port))
        return await self.holding.replicas.start(wanted)

    async def keep(self) -> None:
        """Never returns: saves the bootstrap's progress, and raises what the store failed of."""
        while True:
            await self._save_progress()
            if self.store is None:
                notify(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1_000_000}")
            await asyncio.wait([self.holding.failure], timeout=1.0)
            if self.holding.failure.done():
                self.holding.failure.result()

    async def tick(self) -> None:
        """Never returns: what is done about once a second."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                if self.holding.feed is not None:
                    await self.holding.feed.tick()
                await self._note_progress()
            except StoreError as error:
                log.warning("state.not_saved", reason=str(error))

    async def meet(self) -> None:
        """Never returns: tells nodes that are not connected who this one is, and looks for a primary."""
        while True:
            self._meet_now.clear()
            for answer in await self.peers.ask_all(self._whom_to_meet(), self.config.roles.ask_seconds):
                self._heard(answer)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.config.roles.meet_seconds):
                    await self._meet_now.wait()

    async def pulse(self) -> None:
        """Never returns: finds out that it did not run for a while."""
        while True:
            self._beat()
            await asyncio.sleep(self.config.roles.stood_still_seconds / 4)

    async def close(self) -> None:
        with contextlib.suppress(StoreError):
            await self._note_progress()
        if self.follower is not None:
            self.follower.ended()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.http.close()
        store = self.store
        if store is None or store.failed is None:
            await self._save_progress()
            await self.shower.show()
        await self.holding.close()
        await self.peers.close()

    def spawn(self, job: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs beside everything else, whoever asked for it; its failure is the node's."""
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None or isinstance(error, RoleRefused):
            return
        log.error("role.change_failed", reason=str(error))
        survivable = isinstance(error, ReplicadError | OSError) and not isinstance(error, PoisonedError)
        if not survivable and not self.holding.failure.done():
            self.holding.failure.set_exception(error)

    # Standing.

    def move(self, standing: Standing) -> None:
        """Takes an arrow of the drawing; clients feel it before this returns."""
        if standing is self.standing:
            return
        assert standing in MOVES[self.standing], (self.standing, standing)
        log.info("role.changed", before=self.standing.value, now=standing.value)
        self.standing = standing
        self.clients.role_changed()
        self.shower.nudge()

    async def change(self, job: Coroutine[Any, Any, str]) -> str:
        """Runs a change of role to its end, also when whoever asked for it goes away."""
        if self._changing.locked():
            job.close()
            raise RoleRefused("another change of role is under way")

        async def alone() -> str:
            async with self._changing:
                return await job

        result: str = await asyncio.shield(self.spawn(alone()))
        return result

    async def promote(self, *, force: bool) -> str:
        return await self.change(self._promote(force))

    async def _promote(self, force: bool) -> str:
        if self.standing.role == "primary":
            raise RoleRefused("this node takes writes already")
        if self.standing is Standing.FENCED and not force:
            raise RoleRefused(
                f"it was fenced by epoch {self._fenced_by()}, whose writes it lacks; --force gives them up"
            )
        if self.record is not None and self.record.granted_epoch is not None and not force:
            raise RoleRefused(
                f"its role was given to {self.primary}, which may have taken writes; --force gives them up"
            )
        answers = not force and await self._primary_answers()
        store, follower = self.store, self.follower
        if store is not None and store.role == "owner":
            raise RoleRefused("this node is stepping down; ask again")
        busy = follower is not None and follower.link.state in ("bootstrapping", "installing", "rewinding")
        known = max(self.known_sequence or 0, (follower and follower.link.primary_sequence) or 0)
        candidate = Candidate(None if store is None else store.position, known, answers, busy)
        refusal, lost = may_promote(candidate, force=force)
        if refusal is not None:
            raise RoleRefused(refusal)
        await self.stop_following()
        await self.begin_epoch(self._above_fences())
        if lost:
            log.error("role.promoted_with_loss", lost=lost)
        return "" if lost is None else f"lost: {lost}"

    async def begin_epoch(self, at_least: int) -> None:
        """The link has ended; takes writes when it returns."""
        store = self.store
        assert store is not None
        self.move(Standing.PROMOTING)
        try:
            record = await in_thread(store.promote, self.env.random.bytes(16), at_least=at_least)
        except ReplicadError as error:
            self.move(Standing.FOLLOWING)
            if store.failed is None and self.primary is not None:
                self._start_following()
            raise RoleRefused(f"nothing has changed: {error}") from error
        self.path, self.known_sequence = (), None
        self.move(Standing.PRIMARY)
        log.warning("role.promoted", epoch=record.epoch, fork=str(record.fork))
        notify(f"STATUS=primary at {store.durable_position}")
        self._meet_now.set()
        await self._save_role(
            role="primary", primary=None, configured=None, fenced_by=None, granted_epoch=None
        )

    @property
    def is_paused(self) -> bool:
        return self.standing is Standing.PAUSED

    async def give_away(self, address: Address, clients: str, epoch: int) -> None:
        """Steps down for the node there, for good; it is paused, and the other is ready. RoleRefused when
        that could not be recorded: then it goes on."""
        self.move(Standing.HANDING_OVER)
        self.primary, self.primary_clients = address, clients
        before = self.record
        try:
            await self._save_role(role="replica", granted_epoch=epoch, **self._learned())
        except StoreError as error:
            self.record, self.primary = before, None
            self.move(Standing.PRIMARY)
            raise RoleRefused(f"rolled back, writes go on here: {error}") from error
        reached("given")
        assert self.store is not None
        await in_thread(self.store.demote)
        reached("demoted")

    async def given_away(self, address: Address, clients: str) -> None:
        """The other has begun its epoch."""
        await self.follow_from_now(address, clients)
        await self._save_role(granted_epoch=None)

    def refuse_writes(self) -> None:
        """Those that wait are told where to go."""
        self.move(Standing.FOLLOWING)

    def fence(self, epoch: int, where: tuple[str, str] = ("", "")) -> None:
        """A higher epoch exists: nothing is acknowledged from here on. `where` its primary is, if known:
        replication and client address."""
        if self.standing.role != "primary" or self.standing is Standing.HANDING_OVER:
            return
        self.primary, self.primary_clients = address_of(where[0]), where[1]
        log.error("role.fenced", by_epoch=epoch, primary=where[0] or None)
        self.move(Standing.FENCED)
        self.spawn(self._step_down(epoch))

    async def _step_down(self, epoch: int) -> None:
        async with self._changing:
            assert self.store is not None
            while True:
                try:
                    await self._save_role(role="replica", fenced_by=epoch, **self._learned())
                    await in_thread(self.store.demote)
                    break
                except DiskFullError as error:
                    log.error("role.not_saved", reason=str(error))
                    await asyncio.sleep(TICK_SECONDS)
            if self.primary is None:
                self._meet_now.set()
            elif self.standing is Standing.FENCED:
                self.move(Standing.FOLLOWING)
                self._start_following()

    async def follow(self, host: str, port: int) -> None:
        await self.change(self._follow(Address(host, port)))

    async def _follow(self, address: Address) -> str:
        found = await resolve(address, self.config.roles.ask_seconds)
        answer = await self.peers.ask(found, self.config.roles.ask_seconds)
        if answer is None:
            raise RoleRefused(f"nobody answers at {found}, or it is this node")
        other = view_of(answer)
        if (loop := closes_loop(self.identity.node, answer.node, answer.path)) is not None:
            raise RoleRefused(f"that would close a loop: {loop}; replicad switchover exchanges the roles")
        if self.standing.role == "primary":
            if judge(self._view(), other, fenced_by=None, linked=False) is not Verdict.FENCE:
                raise RoleRefused(
                    f"this node is the primary of epoch {self._view().epoch}, {found} is not above"
                )
            self._heard(answer)
            return ""
        if self.store is not None and other.database_id not in (None, self.store.database_id):
            raise RoleRefused(f"{found} has another database; this node's data must be removed first")
        await self.follow_from_now(found, answer.clients)
        return ""

    async def follow_from_now(self, address: Address, clients: str) -> None:
        """The store is a replica's; this node follows that one, and nobody else any more."""
        await self.stop_following()
        self.primary, self.primary_clients = address, clients
        await self._save_role(role="replica", **self._learned())
        self.move(Standing.FOLLOWING)
        self._start_following()

    # Certainty.

    def _beat(self) -> None:
        """Called often, and before every acknowledgement."""
        now = self.env.clock.awake()
        stood_still, self._alive_at = now - self._alive_at, now
        if stood_still > self.config.roles.stood_still_seconds:
            log.warning("role.stood_still", seconds=round(stood_still, 3))
            if self.standing in (Standing.PRIMARY, Standing.PAUSED) and len(self.peers):
                self.standing = Standing.DOUBTING
                self.spawn(self._find_certainty(f"it stood still for {stood_still:.1f} s"))

    async def _find_certainty(self, why: str) -> None:
        """Asks the nodes it knows; one of a higher epoch fences this one."""
        roles = self.config.roles
        log.info("role.doubts", reason=why, nodes=len(self.peers))
        while self.standing is Standing.DOUBTING:
            until = self.env.clock.monotonic() + roles.ask_seconds
            answers = await self.peers.ask_all(self.peers.addresses(), roles.ask_seconds)
            for answer in answers:
                self._heard(answer)
            if not answers:
                # They may live elsewhere now, and have left word here while this node stood still.
                await asyncio.sleep(max(0.0, until - self.env.clock.monotonic()))
            if self.standing is Standing.DOUBTING and (answers or roles.when_alone == "serve"):
                log.info("role.certain", answers=len(answers))
                self.move(Standing.PRIMARY)
            elif self.standing is Standing.DOUBTING:
                log.warning("role.alone", reason=f"{why}, and none of {len(self.peers)} nodes answers")
                await asyncio.sleep(roles.meet_seconds)

    def _heard(self, answer: StandingMessage) -> None:
        """What another node says of itself, whoever asked."""
        other = view_of(answer)
        self.peers.remember(answer.node, answer.replication, answer.clients)
        match judge(self._view(), other, fenced_by=self._fenced_by(), linked=self._is_linked()):
            case Verdict.FENCE:
                is_primary = other.standing.role == "primary"
                mine = (answer.replication, answer.clients)
                self.fence(other.epoch, mine if is_primary else (answer.primary, answer.primary_clients))
            case Verdict.FOLLOW if not self._changing.locked():
                address = address_of(answer.replication)
                if address is not None and (address != self.primary or self.standing is Standing.FENCED):
                    self.spawn(self.change(self._turn_to(address, answer.clients)))
            case Verdict.CLASH:
                reason = f"{answer.node.hex()} is a primary in epoch {other.epoch} as well"
                if reason != self.clashes:
                    log.critical("role.clash", reason=reason)
                self.clashes = reason

    async def _turn_to(self, address: Address, clients: str) -> str:
        await self.follow_from_now(address, clients)
        return ""

    def _view(self) -> View:
        store = self.store
        if store is None:
            return View(self.identity.node, self.standing, None, None, ())
        position = store.durable_position
        return View(self.identity.node, self.standing, store.database_id, position, store.epochs)

    def _introduce(self) -> StandingMessage:
        view = self._view()
        return StandingMessage(
            node=self.identity.node,
            process=self.identity.process,
            standing=self.standing.value,
            database=view.database_id,
            position=view.position,
            epochs=view.epochs,
            replication=self.listening.get("replication", ""),
            clients=str(self.clients.address),
            primary="" if self.primary is None else str(self.primary),
            primary_clients=self.primary_clients,
            path=self.path,
        )

    def _whom_to_meet(self) -> set[Address]:
        feed = self.holding.feed
        if self.standing.role == "primary":
            return self.peers.addresses(but=() if feed is None else feed.sessions)
        if self._is_linked():
            return set()
        mine = address_of(self.listening.get("replication", ""))
        wanted = self.peers.addresses() | ({self.primary} if self.primary is not None else set())
        return {address for address in wanted if address is not None and address != mine}

    async def _primary_answers(self) -> bool:
        if self.primary is None:
            return False
        answer = await self.peers.ask(self.primary, self.config.roles.ask_seconds)
        return answer is not None and view_of(answer).standing.role == "primary"

    def _is_linked(self) -> bool:
        follower = self.follower
        return follower is not None and follower.link.state in ("streaming", "bootstrapping", "installing")

    # Sessions.

    async def _serve(self, connection: TcpConnection) -> None:
        """The first message of a connection says what it is for."""
        try:
            async with asyncio.timeout(self.config.link.handshake_seconds):
                first = await connection.receive()
            if isinstance(first, StandingMessage):
                self._heard(first)
                connection.send(self._introduce())
            elif isinstance(first, Handover | Grant):
                connection.send(await self._answer(first))
            elif self.holding.feed is None:
                connection.send(Refuse("no-data", "this node has no data yet", True))
            else:
                await self.holding.feed.serve(connection, first)
        except (ReplicadError, OSError, TimeoutError) as error:
            connection.send(Refuse("error", f"{type(error).__name__}: {error}"[:1000], True))
            log.info(
                "replication.session_ended", peer=connection.peer, reason=str(error) or "no HELLO in time"
            )
        finally:
            connection.close()

    async def _answer(self, message: Handover | Grant) -> Message:
        if isinstance(message, Handover):
            return await get_ready(self, message)
        try:
            await take_over(self, message)
        except RoleRefused as error:
            return Refuse("not-taken", str(error), True)
        return self._introduce()

    def _make_feed(self, store: Database, slots: Slots) -> PrimaryNode:
        feed = PrimaryNode(
            self.env,
            self.identity,
            store,
            slots,
            self._records,
            self.config.data,
            lambda directory: list_files(self.env.fs, directory),
            self.config.link,
            whereabouts=self._whereabouts,
            on_replica=lambda hello: self.peers.remember(hello.node, hello.replication, hello.clients),
            on_higher_epoch=self.fence,
        )
        feed.answering = self.verification.answering
        return feed

    def _opened(self, store: Database) -> None:
        self.verification.opened(store)
        self.shower.nudge()
        log.info("daemon.ready", standing=self.standing.value, clients=str(self.clients.address))
        notify("READY=1", f"STATUS={self.standing.role} at {store.durable_position}")

    def _whereabouts(self) -> Whereabouts:
        return Whereabouts(self.listening.get("replication", ""), str(self.clients.address), self.path)

    # The link.

    def _start_following(self) -> None:
        primary = self.primary
        assert primary is not None
        self.follower = Follower(
            self.env,
            self.identity,
            self,
            self.config.data,
            lambda: dial(*primary),
            self.config.link,
            self.shower.nudge,
            whereabouts=self._whereabouts,
            on_welcome=self._welcomed,
            archive=self._archived_log(),
        )
        self.verification.following(self.follower)
        self._following = self.spawn(self.follower.run())

    def _archived_log(self) -> TargetLog | None:
        where = self.config.backup.catch_up_from
        return None if where is None else TargetLog(self.env, where)

    async def stop_following(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if self.follower is not None:
            self.known_sequence = max(self.known_sequence or 0, self.follower.link.primary_sequence or 0)
            self.follower = None

    def _welcomed(self, welcome: Welcome) -> None:
        path = (welcome.node, *welcome.path)
        self.peers.remember(welcome.node, welcome.replication, welcome.clients)
        self.primary_clients = welcome.clients
        if path != self.path:
            self.path = path
            self.spawn(self.holding.replicas.end_sessions())  # they learn the path when they connect again

    async def _note_progress(self) -> None:
        """What is remembered of the primary, for the day on which it does not answer."""
        store, follower, record = self.store, self.follower, self.record
        if record is None or store is None:
            return
        above = max(record.fenced_by or 0, record.granted_epoch or 0)
        if above and store.durable_position.epoch >= above:
            await self._save_role(fenced_by=None, granted_epoch=None)
        known = None if follower is None else follower.link.primary_sequence
        if known is not None and known != self.known_sequence:
            self.known_sequence = max(known, self.known_sequence or 0)
            await self._save_role(primary_sequence=self.known_sequence)

    # What replication asks of the data.

    @property
    def store(self) -> Database | None:
        return self.holding.store

    def local_files(self) -> Any:
        return self.holding.local_files()

    async def install(self, staging: Path) -> None:
        follower = self.follower
        progress = None if follower is None else follower.progress
        await self.holding.install(staging)
        self.verification.installed()
        if progress is not None and follower is not None:
            seconds = self.env.clock.monotonic() - follower.progress_started_at
            self.last_bootstrap = {
                "position": progress.position,
                "files": progress.files_total,
                "size_bytes": progress.size_bytes_total,
                "fetched_bytes": progress.size_bytes_total - follower.progress_started_bytes,
                "seconds": round(seconds, 3),
            }

    async def rewind(self, fork: Any) -> bool:
        return await self.holding.rewind(fork)

    # What the server asks.

    @property
    def role(self) -> Literal["primary", "replica"]:
        return self.standing.role

    @property
    def is_writable(self) -> bool:
        return self.standing.takes_writes

    def holds_writes(self) -> bool:
        self._beat()
        return self.standing.holds_writes

    def holds_answers(self) -> bool:
        self._beat()
        return self.standing.holds_answers

    @property
    def primary_address(self) -> tuple[str, int] | None:
        if self.standing.role == "primary":
            return None
        return address_of(self.primary_clients) or self.primary

    @property
    def link_state(self) -> str:
        if self.standing.role == "primary":
            return "connected"
        return "connect" if self.follower is None else LINK_STATES.get(self.follower.link.state, "connecting")

    def replicas(self) -> list[ReplicaView]:
        return [] if self.holding.feed is None else replica_views(self.holding.feed)

    @property
    def copy_bytes_per_second(self) -> int:
        return 0 if self.holding.feed is None else self.holding.feed.throttle.bytes_per_second

    def throttle_copies(self, bytes_per_second: int) -> None:
        if self.holding.feed is not None:
            self.holding.feed.throttle.set(bytes_per_second)
            log.info("bootstrap.throttled", bytes_per_second=bytes_per_second)

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, Any]:
        return await self.holding.backups.create(self.store, target, flush=flush, metadata=metadata)

    def stop_backup(self) -> bool:
        return self.holding.backups.stop()

    def drop_slot(self, node_id: bytes) -> bool:
        return self.holding.feed is not None and self.holding.feed.drop_slot(node_id)

    @property
    def waits(self) -> Waits:
        return self._no_waits if self.holding.feed is None else self.holding.feed.waits

    @property
    def reads_refused(self) -> str | None:
        doubted = self.verification.reads_refused
        return doubted or (None if self.follower is None else self.follower.reads_refused)

    def fetch_again(self, reason: str) -> bool:
        return self.follower is not None and self.follower.fetch_again(reason)

    def found_corruption(self, error: CorruptionError) -> None:
        self.verification.found_corruption(error)

    def order_repair(self, reason: str) -> None:
        self.verification.order_repair(reason)

    async def switch_over(self, target: str | None, *, timeout_seconds: float | None) -> str:
        seconds = timeout_seconds or self.config.roles.switchover_seconds
        self.switchover = Switchover(self, target, seconds)
        try:
            return await self.change(self.switchover.run())
        finally:
            self.switchover = None

    def cancel_switchover(self) -> bool:
        if self.switchover is None or self.standing is not Standing.PAUSED:
            return False
        self.switchover.cancel()
        return True

    def status(self) -> dict[str, Any]:
        return node_document(self)

    # The record.

    def _remembered_primary(self, config: PrimaryConfig | ReplicaConfig) -> Address | None:
        """The configuration's, unless this node was told another since that was written."""
        told = config.primary if isinstance(config, ReplicaConfig) else None
        record = self.record
        if record is None or record.primary is None or config.take_role:
            return told
        if told is not None and str(told) != record.configured:
            return told
        return address_of(record.primary) or told

    def _learned(self) -> dict[str, str | None]:
        told = self._config.primary if isinstance(self._config, ReplicaConfig) else None
        return {
            "primary": None if self.primary is None else str(self.primary),
            "configured": None if told is None else str(told),
        }

    def _fenced_by(self) -> int | None:
        return None if self.record is None else self.record.fenced_by

    def _above_fences(self) -> int:
        record = self.record
        return 0 if record is None else max(record.fenced_by or 0, record.granted_epoch or 0) + 1

    async def _save_role(self, **changes: Any) -> None:
        """The record with these changes, durable when it returns."""
        epoch = int(self._view().epoch)
        before = self.record or RoleRecord(role=self.verb, epoch=epoch)
        record = replace(before, **{"epoch": epoch, **changes})
        if record != self.record or not self._record_saved:
            self.record, self._record_saved = record, False
            await self._records.put_role(record)
            self._record_saved = True

    async def _save_progress(self) -> None:
        progress = None if self.follower is None else self.follower.progress
        if progress != self._saved:
            self._saved = progress
            try:
                await self._records.show_bootstrap(progress)
            except StoreError as error:
                log.warning("state.not_saved", reason=str(error))

    def _shown(self) -> Shown:
        store, follower = self.store, self.follower
        link = None
        if follower is not None:
            link = f"{follower.link.state}: {follower.link.waits_for}".rstrip(": ")[:1000]
        return Shown(
            role=self.standing.role,
            database_id=None if store is None else store.database_id,
            position=None if store is None else str(store.durable_position),
            primary_address=None if self.primary is None else str(self.primary),
            link=link,
            at_us=self.env.clock.wall_us(),
        )
