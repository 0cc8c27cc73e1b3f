"""The replica as a program: its data, which a bootstrap may replace, the client port, and the link."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import structlog

from replicad.daemon.archiving import LogArchiving
from replicad.daemon.backups import NodeBackups
from replicad.daemon.client_port import ClientPort
from replicad.daemon.config import ReplicaConfig
from replicad.daemon.http_port import HttpPort
from replicad.daemon.node import Shower, identity_of, node_state, open_store, watch_failure
from replicad.daemon.notify import notify
from replicad.daemon.records import NodeRecords
from replicad.daemon.referral import ReferralPort
from replicad.daemon.status import bootstrap_document, link_document, store_document
from replicad.daemon.supervise import Stop, run_node, until_stopped
from replicad.env import Env
from replicad.errors import StoreError
from replicad.replication.connection import dial
from replicad.replication.follower import Follower
from replicad.replication.tasks import in_thread
from replicad.replication.waits import Waits
from replicad.server import ReplicaView
from replicad.state import BootstrapProgress, Shown
from replicad.store.checkpoint import install, local_tables
from replicad.store.database import Database, open_database

log = structlog.get_logger("replicad.daemon")

EXTEND_SECONDS = 60
LINK_STATES = {"streaming": "connected", "bootstrapping": "sync", "installing": "sync", "waiting": "connect"}
"""ROLE's words for the states of the link; the others are "connecting"."""


def run(config: ReplicaConfig) -> None:
    """Runs a replica until it is told to stop; raises what ended it otherwise."""
    run_node(_replica, "replica", config)


class ReplicaNode:
    """The node itself: satisfies the server's `Node` and replication's `ReplicaData`."""

    role: Literal["primary", "replica"] = "replica"
    is_writable = False

    def __init__(self, config: ReplicaConfig, env: Env, records: NodeRecords, stop: Stop) -> None:
        self._config = config
        self._env = env
        self._records = records
        self.identity = identity_of(env, records, config)
        self.store: Database | None = None
        self.clients = ClientPort(config.listen, self, config.clients, lambda: stop.request("SHUTDOWN"))
        self.http = HttpPort(self.status)
        self.referrals = ReferralPort(config.primary)
        self.listening: dict[str, str] = {}
        self.shower = Shower(env, records, self._shown)
        self._backups = NodeBackups(env, config.backup)
        self._archiving = LogArchiving(env, config.backup)
        self._archive_task: asyncio.Task[None] | None = None
        self.follower = Follower(
            env,
            self.identity,
            self,
            config.data,
            lambda: dial(*config.primary),
            config.link,
            self._link_changed,
        )
        self.waits = Waits(lambda: [], lambda _: None)
        self._watcher: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._saved: BootstrapProgress | None = records.state.view().bootstrap
        self._last_bootstrap: dict[str, Any] | None = None

    # What replication asks.

    def local_files(self) -> Mapping[bytes, Path]:
        tables = local_tables(self._env.fs, self._config.data)
        return {sha256: self._config.data / name for (sha256, _), name in tables.items()}

    async def install(self, staging: Path) -> None:
        """The old store serves until here. What a crash interrupts is begun again from the staged files."""
        progress = self.follower.progress
        await self.clients.say_loading()
        await self._close_store()
        try:
            await in_thread(install, self._env, staging, self._config.data, self._config.store.wal_dir)
        except Exception:
            # Until the swap the old data is what CURRENT names: it serves on.
            if self._has_data():
                await self._open_store()
            raise
        await self._open_store()
        self._account_for(progress)

    # What the server asks.

    @property
    def primary_address(self) -> tuple[str, int]:
        return self._config.primary

    @property
    def link_state(self) -> str:
        return LINK_STATES.get(self.follower.link.state, "connecting")

    def replicas(self) -> list[ReplicaView]:
        return []

    copy_bytes_per_second = 0

    def throttle_copies(self, bytes_per_second: int) -> None:
        pass

    def drop_slot(self, node_id: bytes) -> bool:
        return False

    @property
    def reads_refused(self) -> str | None:
        return self.follower.reads_refused

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, Any]:
        return await self._backups.create(self.store, target, flush=flush, metadata=metadata)

    def stop_backup(self) -> bool:
        return self._backups.stop()

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "role": "replica",
            "node_id": self.identity.node.hex(),
            "listen": str(self.clients.address),
            **self.listening,
            "primary": str(self._config.primary),
            "database_id": None,
            "position": None,
        }
        if self.store is not None:
            document |= store_document(self.store)
            primary = self.follower.link.primary_sequence
            if primary is not None:
                document["lag_sequences"] = max(0, primary - self.store.latest_sequence)
        document["link"] = link_document(self._env, self.follower)
        document["bootstrap"] = bootstrap_document(self._env, self.follower)
        document["last_bootstrap"] = self._last_bootstrap
        document["backup"] = self._backups.document()
        document["log_archive"] = self._archiving.document()
        return document

    # Its life.

    async def start(self) -> None:
        """Opens the data if there is any, and listens either way."""
        if self._has_data():
            await self._open_store()
        else:
            await self.clients.say_loading()
            notify("STATUS=waiting for a copy of the primary's data")
        if self._config.replication is not None:
            self.listening["replication"] = str(await self.referrals.start(self._config.replication))
        if self._config.http is not None:
            self.listening["http"] = str(await self.http.start(self._config.http))
        log.info("daemon.listening", role="replica", clients=str(self.clients.address), **self.listening)

    async def keep(self) -> None:
        """Never returns: saves the bootstrap's progress, and raises what the store failed of."""
        while True:
            await self._save_progress()
            if self.store is None:
                notify(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1_000_000}")
            await asyncio.wait([self._failure], timeout=1.0)
            if self._failure.done():
                self._failure.result()

    async def close(self) -> None:
        self.follower.ended()
        await self.http.close()
        await self.referrals.close()
        await self.clients.close()
        if self.store is None or self.store.failed is None:
            await self._save_progress()
            await self.shower.show()
        await self._close_store()

    async def _save_progress(self) -> None:
        progress = self.follower.progress
        if progress != self._saved:
            self._saved = progress
            try:
                await self._records.show_bootstrap(progress)
            except StoreError as error:
                log.warning("state.not_saved", reason=str(error))

    async def _open_store(self) -> None:
        config, env = self._config, self._env
        hold = self._archiving.hold
        store = await open_store(
            lambda: open_database(config.data, config.store, env=env, role="replica", retention=hold)
        )
        self._archive_task = asyncio.create_task(self._archiving.run(store))
        self._watcher = asyncio.create_task(watch_failure(store))
        self._watcher.add_done_callback(self._watched)
        self.store = store
        await self.clients.serve(store)
        self.shower.nudge()
        log.info("daemon.ready", role="replica", clients=str(self.clients.address))
        notify("READY=1", f"STATUS=replica at {store.durable_position}")

    async def _close_store(self) -> None:
        store, self.store = self.store, None
        if self._watcher is not None:
            self._watcher.cancel()
        if self._archive_task is not None:
            self._archive_task.cancel()
            await asyncio.gather(self._archive_task, return_exceptions=True)
        await self._backups.end()
        if store is not None:
            await asyncio.to_thread(store.close)
            log.info("store.closed", position=str(store.durable_position))

    def _has_data(self) -> bool:
        return self._env.fs.exists(self._config.data / "CURRENT")

    def _watched(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled() and not self._failure.done():
            error = watcher.exception()
            assert error is not None
            self._failure.set_exception(error)

    def _link_changed(self) -> None:
        self.shower.nudge()

    def _account_for(self, progress: BootstrapProgress | None) -> None:
        if progress is None:
            return
        seconds = self._env.clock.monotonic() - self.follower.progress_started_at
        self._last_bootstrap = {
            "position": progress.position,
            "files": progress.files_total,
            "size_bytes": progress.size_bytes_total,
            "fetched_bytes": progress.size_bytes_total - self.follower.progress_started_bytes,
            "seconds": round(seconds, 3),
        }

    def _shown(self) -> Shown:
        store, follower = self.store, self.follower
        return Shown(
            role="replica",
            database_id=None if store is None else store.database_id,
            position=None if store is None else str(store.durable_position),
            primary_address=str(self._config.primary),
            link=f"{follower.link.state}: {follower.link.waits_for}".rstrip(": ")[:1000],
            at_us=self._env.clock.wall_us(),
        )


async def _replica(config: ReplicaConfig, env: Env, stop: Stop) -> None:
    async with node_state(env, config.data) as records:
        node = ReplicaNode(config, env, records, stop)
        try:
            await node.start()
            await until_stopped(stop, node.follower.run(), node.shower.run(), node.keep())
        finally:
            await node.close()
