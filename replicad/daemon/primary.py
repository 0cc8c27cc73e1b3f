"""The primary as a program: the store, the client port, the replication port, and their end."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import structlog

from replicad.daemon.addresses import Address
from replicad.daemon.archiving import LogArchiving
from replicad.daemon.backups import NodeBackups
from replicad.daemon.client_port import ClientPort
from replicad.daemon.config import PrimaryConfig
from replicad.daemon.holds import AllHolds
from replicad.daemon.http_port import HttpPort
from replicad.daemon.node import Shower, identity_of, node_state, open_store, watch_failure
from replicad.daemon.notify import notify
from replicad.daemon.records import NodeRecords
from replicad.daemon.status import replicas_document, store_document
from replicad.daemon.supervise import Stop, run_node, until_stopped
from replicad.env import Env
from replicad.errors import StoreError
from replicad.replication.connection import TcpConnection
from replicad.replication.identify import Identity
from replicad.replication.primary import PrimaryNode
from replicad.replication.slots import Slots
from replicad.replication.waits import Waits
from replicad.server import ReplicaView
from replicad.state import Shown
from replicad.store.checkpoint import list_files
from replicad.store.database import Database, open_database

log = structlog.get_logger("replicad.daemon")

TICK_SECONDS = 1.0
DRAIN_SECONDS = 5.0
SESSIONS_MAX = 256


def run(config: PrimaryConfig) -> None:
    """Runs a primary until it is told to stop; raises what ended it otherwise."""
    run_node(_primary, "primary", config)


class PrimaryView:
    """What the server tells clients about this node; satisfies its `Node`."""

    role: Literal["primary", "replica"] = "primary"
    primary_address = None
    link_state = "connected"

    def __init__(
        self,
        env: Env,
        identity: Identity,
        database: Database,
        node: PrimaryNode,
        backups: NodeBackups,
        archiving: LogArchiving,
    ) -> None:
        self._env = env
        self._backups = backups
        self._archiving = archiving
        self._identity = identity
        self._database = database
        self._node = node
        self.listening: dict[str, str] = {}

    @property
    def is_writable(self) -> bool:
        return self._node.fenced_by is None

    def replicas(self) -> list[ReplicaView]:
        views = []
        for session in self._node.sessions.values():
            host, _, port = session.connection.peer.rpartition(":")
            slot = self._node.slots.get(session.hello.node)
            acknowledged = 0 if slot is None else slot.sequence
            views.append(
                ReplicaView(
                    node_id=session.hello.node.hex(),
                    host=host,
                    port=int(port) if port.isdigit() else 0,
                    state="online" if session.sender is not None else "wait_bgsave",
                    acknowledged_sequence=session.sender.ack.durable if session.sender else acknowledged,
                )
            )
        return views

    @property
    def copy_bytes_per_second(self) -> int:
        return self._node.throttle.bytes_per_second

    def throttle_copies(self, bytes_per_second: int) -> None:
        self._node.throttle.set(bytes_per_second)
        log.info("bootstrap.throttled", bytes_per_second=bytes_per_second)

    def drop_slot(self, node_id: bytes) -> bool:
        return self._node.drop_slot(node_id)

    reads_refused = None

    @property
    def waits(self) -> Waits:
        return self._node.waits

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, Any]:
        return await self._backups.create(self._database, target, flush=flush, metadata=metadata)

    def stop_backup(self) -> bool:
        return self._backups.stop()

    def status(self) -> dict[str, Any]:
        return {
            "role": "primary",
            "node_id": self._identity.node.hex(),
            "fenced_by_epoch": self._node.fenced_by,
            "copy_bytes_per_second": self.copy_bytes_per_second,
            "synchronous": self.waits.describe(),
            **self.listening,
            **store_document(self._database),
            "replicas": replicas_document(self._env, self._node, self._database),
            "backup": self._backups.document(),
            "log_archive": self._archiving.document(),
        }


async def _primary(config: PrimaryConfig, env: Env, stop: Stop) -> None:
    async with node_state(env, config.data) as records:
        slots = Slots(records.state.view().slots, config.link.slot_limits)
        archiving = LogArchiving(env, config.backup)
        holds = AllHolds([slots] if archiving.hold is None else [slots, archiving.hold])
        database = await open_store(
            lambda: open_database(config.data, config.store, env=env, role="owner", retention=holds)
        )
        try:
            await _serve(config, env, stop, records, slots, database, archiving)
        finally:
            await asyncio.to_thread(database.close)
            log.info("store.closed", position=str(database.durable_position))


async def _serve(
    config: PrimaryConfig,
    env: Env,
    stop: Stop,
    records: NodeRecords,
    slots: Slots,
    database: Database,
    archiving: LogArchiving,
) -> None:
    identity = identity_of(env, records, config)
    node = PrimaryNode(
        env,
        identity,
        database,
        slots,
        records,
        config.data,
        lambda directory: list_files(env.fs, directory),
        config.link,
    )
    await asyncio.to_thread(node.copies.load)
    backups = NodeBackups(env, config.backup)
    view = PrimaryView(env, identity, database, node, backups, archiving)
    clients = ClientPort(config.listen, view, config.clients, lambda: stop.request("SHUTDOWN"))
    await clients.serve(database)
    replicas = ReplicationPort(node)
    address = await replicas.start(config.replication)
    view.listening = {"listen": str(clients.address), "replication": str(address)}
    http = HttpPort(view.status)
    if config.http is not None:
        view.listening["http"] = str(await http.start(config.http))
    shower = Shower(env, records, lambda: _shown(env, database))
    await shower.show()
    log.info("daemon.ready", role="primary", clients=str(clients.address), replication=str(address))
    notify("READY=1", f"STATUS=primary at {database.durable_position}")
    try:
        await until_stopped(stop, shower.run(), _tick(node), watch_failure(database), archiving.run(database))
    finally:
        await backups.end()
        await http.close()
        await clients.close()
        await replicas.close(database)
        if database.failed is None:
            await shower.show()


def _shown(env: Env, database: Database) -> Shown:
    return Shown(
        role="primary",
        database_id=database.database_id,
        position=str(database.durable_position),
        primary_address=None,
        link=None,
        at_us=env.clock.wall_us(),
    )


async def _tick(node: PrimaryNode) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            await node.tick()
        except StoreError as error:
            log.warning("state.not_saved", reason=str(error))


class ReplicationPort:
    """Accepts replicas; each connection is one session task."""

    def __init__(self, node: PrimaryNode) -> None:
        self._node = node
        self._listener: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def start(self, address: Address) -> Address:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._accept, address.host, address.port)
        return Address(*self._listener.sockets[0].getsockname()[:2])

    async def close(self, database: Database) -> None:
        """Takes no more replicas, and lets those that stream have what is durable, for a few seconds."""
        if self._listener is not None:
            self._listener.close()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._node.is_caught_up():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.warning("replication.not_drained", sequence=database.durable_sequence)
        for task in self._sessions:
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self) -> TcpConnection:
        connection = TcpConnection()
        if len(self._sessions) >= SESSIONS_MAX:
            log.warning("replication.too_many_sessions", sessions=len(self._sessions))
            asyncio.get_running_loop().call_soon(connection.close)
            return connection
        task = asyncio.get_running_loop().create_task(self._node.serve(connection))
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        return connection
