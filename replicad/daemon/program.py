"""A node as a program, whoever it is at the moment: its parts, its life, its sessions, what its server asks.

role_memory    what it was told to be           certainty   what nodes tell each other, who is primary
role_changes   how it becomes something else    node_link   whom it follows
holding        its data, and who is served from it
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from functools import partial
from typing import Any, Literal

import structlog

from replicad.daemon.addresses import Address, parse_address
from replicad.daemon.config import NodeConfig, PrimaryConfig, ReplicaConfig
from replicad.daemon.data.holding import Holding
from replicad.daemon.data.verification import Verification
from replicad.daemon.node import Shower, identity_of, node_state
from replicad.daemon.ports.client_port import ClientPort
from replicad.daemon.ports.http_port import HttpPort
from replicad.daemon.process.clock_watch import ClockWatch
from replicad.daemon.process.directory_watch import LOOK_SECONDS, look
from replicad.daemon.process.new_directory import check_gone, check_new
from replicad.daemon.process.notify import notify
from replicad.daemon.process.supervise import Stop, run_node, until_stopped
from replicad.daemon.records import NodeRecords
from replicad.daemon.roles.certainty import Certainty
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.peers import Peers, address_of
from replicad.daemon.roles.role_changes import RoleChanges
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.roles.switchover import deliver_grant, get_ready, take_over
from replicad.daemon.status import node_document, replica_views
from replicad.env import Env
from replicad.errors import (
    ConfigError,
    CorruptionError,
    PoisonedError,
    ReplicadError,
    RoleRefused,
    StoreError,
)
from replicad.replication.policy.roles import Standing, Start, Stored, at_start
from replicad.replication.policy.synchronous import parse_rule
from replicad.replication.primary.durable_age import DurableAge
from replicad.replication.primary.node import PrimaryNode
from replicad.replication.primary.slots import Slots
from replicad.replication.primary.waits import Waits
from replicad.replication.replica.freshness import why_refused, why_stale
from replicad.replication.wire.connection import TcpConnection
from replicad.replication.wire.messages import Grant, Handover, Message, Refuse, StandingMessage
from replicad.server import ReplicaView
from replicad.state import Shown
from replicad.store.copies.checkpoint import list_files
from replicad.store.database import Database
from replicad.store.directory.log_place import check_log_is_ours
from replicad.store.roles import recorded_role

log = structlog.get_logger("replicad.daemon")

TICK_SECONDS = 1.0
EXTEND_SECONDS = 60


def run(config: PrimaryConfig | ReplicaConfig) -> None:
    """Runs a node until it is told to stop; raises what ended it otherwise."""
    run_node(_node, "replica" if isinstance(config, ReplicaConfig) else "primary", config)


async def _node(config: PrimaryConfig | ReplicaConfig, env: Env, stop: Stop) -> None:
    if isinstance(config, PrimaryConfig):
        check_new(env.fs, config.data, create=config.create)
    async with node_state(env, config.data) as records:
        node = NodeProgram(config, env, records, stop)
        try:
            await node.start()
            await until_stopped(
                stop,
                node.shower.run(),
                node.keep(),
                node.tick(),
                node.watch_directory(),
                node.certainty.meet(),
                node.certainty.pulse(),
                node.verification.run(),
            )
        finally:
            await node.close()


class NodeProgram:
    """Satisfies the server's `Node`. Belongs to the event loop."""

    def __init__(
        self, config: PrimaryConfig | ReplicaConfig, env: Env, records: NodeRecords, stop: Stop
    ) -> None:
        self.config: NodeConfig = config
        self.env = env
        self.identity = identity_of(env, records, config)
        self.memory = RoleMemory(config, records)
        self.roles = RoleChanges(self)
        self.clients = ClientPort(
            config.listen, self, config.clients, env.clock, lambda: stop.request("SHUTDOWN")
        )
        self.holding = Holding(config, env, records, self.clients, self._serve, self._make_feed, self._opened)
        self.http = HttpPort(self.status)
        self.listening: dict[str, str] = {}
        self.certainty = Certainty(self)
        self.peers = Peers(
            env,
            records,
            self.identity.node,
            self.certainty.introduce,
            kept_seconds=config.link.slot_idle_seconds_max,
            changed=self._peers_changed,
        )
        self._clock_watch = ClockWatch()
        self.shower = Shower(env, records, self._shown)
        self.verification = Verification(env, records, config.verification, self, config.data)
        self.link = NodeLink(self, records)
        self._records = records
        self._listen_at = config.replication
        # While the data is exchanged nobody acknowledges, which is not the same as nobody being asked.
        self._no_waits = Waits(lambda: [], lambda _: None, rule=parse_rule(config.link.synchronous))
        self._tasks: set[asyncio.Task[Any]] = set()

    # Its life.

    async def start(self) -> None:
        """Becomes what `at_start` says. It has all its ports before anybody is served from the data; what it
        hears meanwhile takes effect afterwards.

        Raises OSError for a port that is taken, ConfigError for a replica that has no data and nobody to
        fetch it from.
        """
        config, holding, memory = self.config, self.holding, self.memory
        found = recorded_role(self.env.fs, config.data)
        stored = None if found is None else Stored(*found)
        record = memory.record
        begin = at_start(memory.verb, record, stored)
        if config.create and stored is None and memory.verb == "primary":
            begin = Start("primary")
        elif begin.role == "primary" and not holding.has_data:
            check_gone(config.data, had_data=record is not None, create=config.create)
        if begin.remembered is not None:
            log.warning("role.remembered", role=begin.role, reason=begin.remembered)
        if begin.role == "replica" and not holding.has_data and memory.primary is None:
            raise ConfigError(
                "this node is a replica without data, and knows no primary to fetch it from; start it with "
                "`replicad replica --primary HOST:PORT`, or with --create as a new, empty primary"
            )
        if config.store.wal_dir is not None and not holding.has_data:  # Before a copy is fetched for nothing.
            check_log_is_ours(self.env.fs, config.data, config.store.wal_dir.absolute())
        if begin.role == "primary":
            self.roles.begin_as(Standing.DOUBTING if len(self.peers) else Standing.PRIMARY)
        elif holding.has_data:
            self.roles.begin_as(Standing.FENCED if memory.primary is None else Standing.FOLLOWING)
        address = await self._bind()
        if begin.role == "primary":
            await holding.open("owner")
        elif holding.has_data:
            await holding.open("replica")
        else:
            await self.clients.say_loading()
            await holding.replicas.accept()
            notify("STATUS=waiting for a copy of the primary's data")
        save = memory.save_following if begin.role == "replica" else partial(memory.save, role="primary")
        await save(self.epoch, replication_port=address.port, took_role=int(config.take_role))
        await self.shower.show()
        log.info("daemon.listening", role=begin.role, **self.listening)
        if self.standing is Standing.DOUBTING:
            self.spawn(self.certainty.find("it was started"))
        elif self.standing is Standing.FOLLOWING:
            if memory.primary is not None and memory.granted_epoch is not None:
                self.spawn(deliver_grant(self, memory.primary))
            else:
                self.link.start()
        self.roles.started.set()
        if memory.takes_role and begin.role != memory.verb:
            await self._take_role()

    async def _take_role(self) -> None:
        """Becomes what the verb says, by the rules of every change of role. Raises RoleRefused where a flag
        asked for it; the key in a configuration is only tried."""
        try:
            if isinstance(self.config, ReplicaConfig):
                await self.roles.follow(*self.config.primary)
            else:
                await self.roles.promote(force=False)
        except RoleRefused as error:
            if self.config.take_role_now:
                raise RoleRefused(f"--take-role: {error}") from None
            log.error("role.not_taken", wanted=self.memory.verb, reason=str(error))

    async def _bind(self) -> Address:
        """Takes all ports, and lets nobody in but by HTTP. Where replicas are to connect."""
        await self.clients.reserve()
        address = await self._listen_for_replicas()
        self.listening = {"listen": str(self.clients.address), "replication": str(address)}
        if self.config.http is not None:
            self.listening["http"] = str(await self.http.start(self.config.http))
        return address

    async def _listen_for_replicas(self) -> Address:
        """Where it listened before, when the system chooses: others remember it."""
        wanted, record = self._listen_at, self.memory.record
        if wanted.port == 0 and record is not None and record.replication_port:
            there = Address(wanted.host, record.replication_port)
            with contextlib.suppress(OSError):
                return await self.holding.replicas.start(there, accept=False)
        return await self.holding.replicas.start(wanted, accept=False)

    async def keep(self) -> None:
        """Never returns: saves the bootstrap's progress, and raises what the store failed of."""
        while True:
            await self.link.save_progress()
            if self.store is None:
                notify(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1_000_000}")
            await asyncio.wait([self.holding.failure], timeout=1.0)
            if self.holding.failure.done():
                # A write may meet the missing directory before the watch does: say what the cause is.
                await look(self.config.data, self._records, None)
                self.holding.failure.result()

    async def tick(self) -> None:
        """Never returns: what is done about once a second."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self.holding.feed is not None:
                await self._tried(self.holding.feed.tick())
            await self._tried(self.link.note_progress())
            if self.store is not None and self.is_writable:
                self._clock_watch.look(self.store.clock_state, self.config.store.clock_jump_seconds_max)
            self.peers.review(self._present())

    def _present(self) -> set[bytes]:
        """The ids of the nodes that are heard now."""
        feed = self.holding.feed
        above = self.link.path if self.link.is_linked else ()
        return {*above, *(() if feed is None else feed.sessions)}

    def _peers_changed(self) -> None:
        if self.holding.feed is not None:
            self.holding.feed.tell_nodes()

    async def watch_directory(self) -> None:
        """Never returns; raises PoisonedError when the data directory is not this node's own any more."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await look(self.config.data, self._records, self.store)

    async def _tried(self, job: Coroutine[Any, Any, None]) -> None:
        """What a full disk or too few file descriptors prevent now, the next tick does."""
        try:
            await job
        except PoisonedError:
            raise
        except (ReplicadError, OSError) as error:
            log.warning("state.not_saved", reason=str(error))

    async def close(self) -> None:
        self.roles.stop()
        with contextlib.suppress(StoreError):
            await self.link.note_progress()
        if self.link.follower is not None:
            self.link.follower.ended()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.http.close()
        store = self.store
        if store is None or store.failed is None:
            await self.link.save_progress()
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

    def _opened(self, store: Database) -> None:
        self.verification.opened(store)
        self.shower.nudge()
        log.info("daemon.ready", standing=self.standing.value, clients=str(self.clients.address))
        notify("READY=1", f"STATUS={self.standing.role} at {store.durable_position}")

    def _shown(self) -> Shown:
        store, follower, primary = self.store, self.link.follower, self.memory.primary
        link = None
        if follower is not None:
            link = f"{follower.link.state}: {follower.link.waits_for}".rstrip(": ")[:1000]
        return Shown(
            role=self.standing.role,
            database_id=None if store is None else store.database_id,
            position=None if store is None else str(store.durable_position),
            primary_address=None if primary is None else str(primary),
            link=link,
            at_us=self.env.clock.wall_us(),
        )

    # Its sessions.

    async def _serve(self, connection: TcpConnection) -> None:
        """The first message of a connection says what it is for."""
        try:
            async with asyncio.timeout(self.config.link.handshake_seconds):
                first = await connection.receive()
            if isinstance(first, StandingMessage):
                self.certainty.met(first)
                connection.send(self.certainty.introduce())
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
        return self.certainty.introduce()

    def _make_feed(self, store: Database, slots: Slots) -> PrimaryNode:
        age = DurableAge(self.env.clock, store)
        feed = PrimaryNode(
            self.env,
            self.identity,
            store,
            slots,
            self._records,
            self.config.data,
            lambda directory: list_files(self.env.fs, directory),
            self.config.link,
            whereabouts=self.link.whereabouts,
            on_replica=lambda hello: self.peers.remember(hello.node, hello.replication, hello.clients),
            nodes=self.peers.entries,
            on_higher_epoch=self.roles.fence,
            may_be_behind=self.certainty.may_be_behind,
            age_seconds=lambda: self._age_seconds(age),
        )
        feed.answering = self.verification.answering
        return feed

    def _age_seconds(self, age: DurableAge) -> float | None:
        """How long ago the primary of all surely had nothing that is not durable here; None: not known."""
        self.certainty.beat()
        follower = self.link.follower
        if self.standing is Standing.PRIMARY or self.standing is Standing.PAUSED:
            return age.seconds()
        return None if follower is None else follower.durable_age_seconds

    # What its parts and the server ask.

    @property
    def store(self) -> Database | None:
        return self.holding.store

    @property
    def epoch(self) -> int:
        """0 without data."""
        return 0 if self.store is None else int(self.store.durable_position.epoch)

    @property
    def standing(self) -> Standing:
        return self.roles.standing

    @property
    def role(self) -> Literal["primary", "replica"]:
        return self.standing.role

    @property
    def is_writable(self) -> bool:
        return self.standing.takes_writes

    def holds_writes(self) -> bool:
        self.certainty.beat()
        return self.standing.holds_writes

    def holds_answers(self) -> bool:
        self.certainty.beat()
        return self.standing.holds_answers

    @property
    def primary_address(self) -> tuple[str, int] | None:
        if self.standing.role == "primary":
            return None
        return address_of(self.memory.primary_clients) or self.memory.primary

    @property
    def link_state(self) -> str:
        return "connected" if self.standing.role == "primary" else self.link.role_word

    async def promote(self, *, force: bool) -> str:
        return await self.roles.promote(force=force)

    async def follow(self, host: str, port: int) -> None:
        await self.roles.follow(host, port)

    async def rejoin(self, host: str | None, port: int) -> str:
        return await self.roles.rejoin(None if host is None else self._address(host, port))

    def _address(self, host: str, port: int) -> Address:
        try:
            return parse_address(str(Address(host, port)))
        except ConfigError as error:
            raise RoleRefused(str(error)) from None

    async def switch_over(self, target: str | None, *, timeout_seconds: float | None) -> str:
        return await self.roles.switch_over(target, timeout_seconds=timeout_seconds)

    def cancel_switchover(self) -> bool:
        return self.roles.cancel_switchover()

    def replicas(self) -> list[ReplicaView]:
        return [] if self.holding.feed is None else replica_views(self.holding.feed)

    @property
    def copy_bytes_per_second(self) -> int:
        return 0 if self.holding.feed is None else int(self.holding.feed.throttle.bytes_per_second or 0)

    def throttle_copies(self, bytes_per_second: int) -> None:
        if self.holding.feed is not None:
            self.holding.feed.throttle.set_rate(bytes_per_second or None)
            log.info("bootstrap.throttled", bytes_per_second=bytes_per_second)

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, Any]:
        return await self.holding.backups.create(self.store, target, flush=flush, metadata=metadata)

    def stop_backup(self) -> bool:
        return self.holding.backups.stop()

    def drop_slot(self, node_id: bytes) -> bool:
        """Also forgets the node, here and at the replicas: it is gone for good, or comes back by itself."""
        feed, known = self.holding.feed, self.peers.forget(node_id)
        if feed is None:
            return known
        dropped = feed.drop_slot(node_id)
        feed.tell_nodes((node_id,))
        return dropped or known

    @property
    def waits(self) -> Waits:
        return self._no_waits if self.holding.feed is None else self.holding.feed.waits

    @property
    def reads_refused(self) -> str | None:
        doubted, follower = self.verification.reads_refused, self.link.follower
        if doubted is not None or self.standing.role == "primary":
            return doubted
        return why_refused("down", None, self.config.link) if follower is None else follower.reads_refused

    @property
    def stale_because(self) -> str | None:
        follower = self.link.follower
        if self.standing.role == "primary":
            return None
        return why_stale("down", None, self.config.link) if follower is None else follower.stale_because

    def fetch_again(self, reason: str) -> bool:
        return self.link.follower is not None and self.link.follower.fetch_again(reason)

    def found_corruption(self, error: CorruptionError) -> None:
        self.verification.found_corruption(error)

    def order_repair(self, reason: str) -> None:
        self.verification.order_repair(reason)

    def status(self) -> dict[str, Any]:
        return node_document(self)
