"""The data of a node and all that serves it: the store, the clients' port, the sessions of replicas.

    nothing ──install──> open ──install, rewind──> open (exchanged: sessions end, clients connect again)
                           └──promote, demote──> open (the same store: only its answers change)

In every role the replication port serves replicas from this store. Two tasks must not exchange the data at
once. Only the follower exchanges it, and runs each exchange to its end; a change of role ends the follower
first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from replicad.daemon.backups.archiving import LogArchiving
from replicad.daemon.backups.known_targets import KnownTargets
from replicad.daemon.backups.on_request import NodeBackups
from replicad.daemon.config import NodeConfig
from replicad.daemon.data.delay import NodeDelay
from replicad.daemon.data.discarded import DISCARDED, Discarded, what_was_discarded
from replicad.daemon.data.holds import AllHolds
from replicad.daemon.data.opening import open_store, watch_failure
from replicad.daemon.open_store import OpenStore
from replicad.daemon.ports.client_port import ClientPort
from replicad.daemon.ports.replication_port import ReplicationPort
from replicad.daemon.records import NodeRecords
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import DivergedError, LinkStoppedError
from replicad.net.doors import Door
from replicad.replication.primary.node import PrimaryNode
from replicad.replication.primary.slots import Slots
from replicad.replication.tasks import in_thread
from replicad.replication.wire.connection import TcpConnection
from replicad.store.copies.checkpoint import install, local_tables
from replicad.store.copies.saved_log import SavedLog
from replicad.store.core import Role
from replicad.store.database import Database, open_database
from replicad.store.open.rewind import cut_back
from replicad.types import Position

log = get_logger("replicad.daemon")


class NodeData:
    """Satisfies replication's `ReplicaData`."""

    def __init__(
        self,
        config: NodeConfig,
        env: Env,
        records: NodeRecords,
        clients: ClientPort,
        store: OpenStore,
        serve: Callable[[TcpConnection], Coroutine[Any, Any, None]],
        make_feed: Callable[[Database, Slots], PrimaryNode],
        before_answers: Callable[[], None],
        opened: Callable[[Database], None],
        failed: Callable[[BaseException], None],
        door: Door,
    ) -> None:
        """`serve` runs a connection of the replication port to its end. `make_feed` makes what serves
        replicas from a database. `before_answers` is called before anybody is answered from a database,
        `opened` with each one that is served from now on, `failed` with the error that stopped one. `door` is
        that of the replication port."""
        self._config = config
        self._env = env
        self._make_feed = make_feed
        self._before_answers = before_answers
        self._opened = opened
        self._failed = failed
        self._store = store

        # The ports outlive every store: clients and replicas find them again after an exchange.
        self.clients = clients
        self.replicas = ReplicationPort(serve, self._is_caught_up, door)
        self.slots = Slots(records.state.view().slots, config.link.slot_limits)
        known = KnownTargets(env, config.data)
        self.backups = NodeBackups(env, config.backup, known)
        self.archiving = LogArchiving(env, config.backup, known)
        self.discarded = Discarded()
        self.delay = NodeDelay(config, env, records, failed)
        """What waits to be applied on a replica."""
        self._watcher: asyncio.Task[None] | None = None
        self._archiving: asyncio.Task[None] | None = None

    @property
    def has_data(self) -> bool:
        return self._env.fs.exists(self._config.data / "CURRENT")

    def reconfigure(self, config: NodeConfig) -> None:
        """Takes over retention, limits of slots and backups, for the open store and those that come."""
        self._config = config
        self.slots.limits = config.link.slot_limits
        self.backups.reconfigure(config.backup)
        self.archiving.reconfigure(config.backup)
        self.delay.reconfigure(config)
        store = self._store.database
        if store is not None and not store.closed and store.failed is None:
            store.change_retention(config.store)

    async def open(self, role: Role) -> Database:
        """Opens the data, or makes it for an owner, and serves it."""
        config, env = self._config, self._env

        # The store asks these before it removes a segment of its log: replicas and the archive may need it.
        hold = self.archiving.hold
        holds = AllHolds([self.slots] if hold is None else [self.slots, hold])
        store = await open_store(
            lambda: open_database(config.data, config.store, env=env, role=role, retention=holds)
        )
        self._store.database_id = store.database_id
        self.slots.clamp(store.durable_sequence)

        # Replicas are let in before clients: a write must not be acknowledged while no replica can get it.
        # Nobody sees the store before its watcher runs: a store that stopped must end the node.
        try:
            self._archiving = asyncio.create_task(self.archiving.run(store, self.backups))
            feed = self._make_feed(store, self.slots)
            await asyncio.to_thread(feed.copies.load)
            self._store.apply = await self.delay.open(store)
            await self._count_discarded()
            self._watcher = asyncio.create_task(watch_failure(store))
            self._watcher.add_done_callback(self._watched)
            self._store.database, self._store.feed = store, feed
            self._before_answers()
            await self.replicas.accept()
            await self.clients.serve(store)
        except (Exception, asyncio.CancelledError):
            # Also when it is cancelled: an open store holds the lock of its directory.
            self._store.database = store
            await self._close_store()
            raise
        self._opened(store)
        return store

    async def resume(self) -> None:
        """See `ReplicaData.resume`."""
        if self._store.database is None:
            if self.has_data:
                await self.open("replica")
        elif not self.clients.is_serving:
            await self.clients.serve(self._store.database)

    async def close(self) -> None:
        await self.clients.close()
        await self.replicas.close()
        await self._close_store()

    # What replication asks.

    def local_files(self) -> Mapping[bytes, Path]:
        tables = local_tables(self._env.fs, self._config.data)
        return {sha256: self._config.data / name for (sha256, _), name in tables.items()}

    async def install(self, staging: Path) -> None:
        """The old store serves until here. What a crash interrupts is begun again from the staged files."""
        config = self._config
        # What waits stays until the copy is there: the opening that follows finds it there, or saves it.
        async with self.delay.exchange():
            await self._exchange(lambda: install(self._env, staging, config.data, config.store.wal_dir))

    async def rewind(self, fork: Position) -> bool:
        """See `ReplicaData.rewind`. The old history serves until its tail is saved."""
        store, config, env = self._store.database, self._config, self._env
        apply = self.delay.apply
        assert store is not None and apply is not None

        # Both histories must have gone through the fork. Else nothing says where this one left the other.
        found = await in_thread(apply.position_at, fork.sequence)
        if found is None and fork.sequence > store.position.sequence and await apply.cut_damage():
            # It ends before the fork now, or goes through it.
            return True
        if found != fork:
            here = found or "no log, so its tail cannot be saved; remove its data to have it fetch a copy"
            raise DivergedError(f"the new history forks at {fork}, where this node has {here}")

        # A tail that only waits was seen by nobody: the store stays as it is.
        if fork.sequence >= store.position.sequence:
            await self.save_after(fork)
            await apply.cut_back(fork)
            return True
        if (held := self.delay.held_because) is not None:
            raise LinkStoppedError(f"the other history forks at {fork}, before what is applied: {held}")

        # The tail may hold writes that were acknowledged, so it is saved before it is cut off. What is in
        # tables already cannot be cut off; a copy replaces it.
        async with self.delay.exchange():
            await self.save_after(fork)
            await self.delay.forget()
            if store.flushed_position.sequence > fork.sequence:
                return False
            await self._exchange(lambda: cut_back(env, config.data, config.store, fork))
        return True

    async def save_after(self, position: Position) -> list[SavedLog]:
        """Saves the log after that position, applied and waiting, which is about to be discarded."""
        store = self._store.database
        assert store is not None
        saved, there = [], store.position
        if position.sequence < there.sequence:
            saved.append(await in_thread(store.save_log, position, self._config.data / DISCARDED))
        waiting = await self.delay.save(max(position, there, key=lambda each: each.sequence))
        saved += [] if waiting is None else [waiting]
        await self._count_discarded()
        for each in saved:
            log.warning(
                "replication.discarded",
                after=str(each.after),
                last=str(each.last),
                batches=each.batches,
                size_bytes=each.size_bytes,
                files=[str(path) for path in each.files],
            )
        return saved

    async def _count_discarded(self) -> None:
        self.discarded = await in_thread(what_was_discarded, self._env.fs, self._config.data / DISCARDED)

    async def _exchange(self, change: Callable[[], object]) -> None:
        """Changes the data while it is closed, and serves what is there then, also when the change failed."""
        try:
            await self.clients.say_loading()
            # A replica that connects while the sessions of the others end must not get a store that is about
            # to close.
            self._store.feed = None
            await self.replicas.end_sessions()
            await self._close_store()
            await in_thread(change)
        finally:
            await self.resume()

    async def _close_store(self) -> None:
        store, self._store.database, self._store.feed = self._store.database, None, None
        self._store.apply = None
        # All that read the store end before it is closed.
        if self._watcher is not None:
            self._watcher.cancel()
        if self._archiving is not None:
            self._archiving.cancel()
            await asyncio.gather(self._archiving, return_exceptions=True)
        await self.backups.end()
        await self.delay.close()
        if store is not None:
            await asyncio.to_thread(store.close)
            log.info("store.closed", position=str(store.durable_position))

    def _is_caught_up(self) -> bool:
        return self._store.feed is None or self._store.feed.is_caught_up()

    def _watched(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled():
            error = watcher.exception()
            assert error is not None
            self._failed(error)
