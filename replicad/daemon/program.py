"""A node as a program: it starts the parts, keeps them running, and closes them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from replicad.daemon.config import NodeConfig, PrimaryConfig, ReplicaConfig, Sources, load
from replicad.daemon.config.keys import KeyPath
from replicad.daemon.failover.gateway import make_gateway
from replicad.daemon.parts import NodeParts
from replicad.daemon.process.clock_watch import ClockWatch
from replicad.daemon.process.directory_watch import look, watch
from replicad.daemon.process.new_directory import check_gone, check_new
from replicad.daemon.process.notify import notify
from replicad.daemon.process.room_watch import RoomWatch
from replicad.daemon.process.slow_watch import SlowWatch
from replicad.daemon.process.supervise import (
    StopRequest,
    on_hangup,
    run_node,
    until_stopped,
    within_descriptors,
)
from replicad.daemon.records import NodeRecords, node_state
from replicad.daemon.reload import ConfigSource
from replicad.env import Clock, Env, LocalFileSystem, raise_descriptor_limit
from replicad.env.events import get_logger
from replicad.errors import ConfigError, PoisonedError, ReplicadError, RoleRefused, StoreError
from replicad.etcd.calls import Etcd
from replicad.etcd.options import EtcdOptions
from replicad.net.addresses import Address
from replicad.options import MIB
from replicad.replication.policy.lost_tail import may_have_lost
from replicad.replication.policy.roles import Standing, Start, Stored, at_start
from replicad.store.database import Database
from replicad.store.directory.formats import check_formats
from replicad.store.directory.log_place import check_log_is_ours, wal_dir_of
from replicad.store.roles import recorded_role
from replicad.store.wal.doubt import is_doubted

log = get_logger("replicad.daemon")

TICK_SECONDS = 1.0
EXTEND_SECONDS = 60
"""How much time the service manager is asked for, again and again, while the data is fetched or opened."""


def run(config: PrimaryConfig | ReplicaConfig, sources: Sources) -> None:
    """Runs a node until it is told to stop; raises what ended it otherwise. `sources` is where its
    configuration was read, and is read again."""

    def read() -> NodeConfig:
        return within_descriptors(load(type(config), sources).config, raise_descriptor_limit())

    def rewrite(running: NodeConfig, values: Mapping[KeyPath, Any]) -> Path:
        return sources.rewrite(LocalFileSystem(), running, values)

    node = partial(_node, ConfigSource(read, rewrite))
    run_node(node, "replica" if isinstance(config, ReplicaConfig) else "primary", config)


async def _node(
    source: ConfigSource, config: PrimaryConfig | ReplicaConfig, env: Env, stop: StopRequest
) -> None:
    if isinstance(config, PrimaryConfig):
        check_new(env.fs, config.data, create=config.create)
    # Before the state is opened, which a refusal must leave as it is.
    check_formats(env.fs, config.data, config.store)
    async with node_state(env, config.data) as records:
        node = NodeProgram(config, env, records, stop, source)
        on_hangup(node.hang_up)
        try:
            await node.start()
            await until_stopped(
                stop,
                *node.jobs(),
                node.parts.loop_lag.run(),
                watch(config.data, records, lambda: node.parts.store),
            )
        finally:
            await node.close()


class NodeProgram:
    """Belongs to the event loop."""

    def __init__(
        self,
        config: PrimaryConfig | ReplicaConfig,
        env: Env,
        records: NodeRecords,
        stop: StopRequest,
        source: ConfigSource | None = None,
        make_etcd: Callable[[EtcdOptions, Clock], Etcd] = make_gateway,
    ) -> None:
        self.config = config
        self.env = env
        self.records = records
        self.parts = NodeParts(config, env, records, stop, source, make_etcd)
        self._clock_watch = ClockWatch()
        self._room_watch = RoomWatch()
        self._slow_watch = SlowWatch()

    # The start.

    async def start(self) -> None:
        """Becomes what `at_start` says. It has all its ports before anybody is served from the data; what it
        hears meanwhile takes effect afterwards.

        Raises OSError for a port that is taken, ConfigError for a replica that has no data and nobody to
        fetch it from.
        """
        config, data, memory = self.config, self.parts.data, self.parts.memory
        stored = self._stored()
        begin = self._role_at_start(stored)
        self._check_start(begin)
        if data.has_data and self.parts.link.from_backup is not None:
            self.parts.link.from_backup.not_needed()
        lost = begin.role == "primary" and self._may_have_lost(stored)
        failover = self.parts.failover
        if lost and failover is not None:
            # It follows the leader, or stands for election like any other node.
            log.warning("role.tail_may_be_lost", epoch=None if stored is None else stored.epoch)
            begin, lost = Start("replica"), False
        if lost and stored is not None:
            log.warning("role.tail_sought", epoch=stored.epoch)
            await self.parts.lost_tail.begin(stored.epoch)

        # The standing comes before the ports: from the moment that they are bound other nodes can ask.
        if begin.role == "primary":
            doubts = lost or len(self.parts.peers) or failover is not None
            self.parts.standing.begin_as(Standing.DOUBTING if doubts else Standing.PRIMARY)
        elif data.has_data:
            self.parts.standing.begin_as(Standing.FENCED if memory.primary is None else Standing.FOLLOWING)

        # The ports come before the data: a node that lacks one ends before it acknowledges a write.
        address = await self._bind()
        if begin.role == "primary":
            await data.open("replica" if lost else "owner")
        elif data.has_data:
            await data.open("replica")
        else:
            await self.parts.clients.say_loading()
            await data.replicas.accept()
            notify("STATUS=waiting for a copy of the primary's data")

        # Changes of role wait for this record: it must not overwrite what one of them writes.
        save = memory.save_following if begin.role == "replica" else partial(memory.save, role="primary")
        epoch, took_role = self.parts.open_store.epoch, int(config.take_role)
        await save(epoch, replication_port=address.port, took_role=took_role)
        await self.parts.publisher.publish()
        log.info("daemon.listening", role=begin.role, **self.parts.addresses.bound)
        if config.insecure:
            log.warning("daemon.insecure", reason="other machines come in clear text and without users")
        self._go_on()
        self.parts.lock.started.set()
        if memory.takes_role and begin.role != memory.verb:
            await self._take_role()

    def _stored(self) -> Stored | None:
        found = recorded_role(self.env.fs, self.config.data)
        return None if found is None else Stored(*found)

    def _may_have_lost(self, stored: Stored | None) -> bool:
        config, env = self.config, self.env
        return may_have_lost(
            self.parts.memory.record,
            stored,
            boot_id=env.boot_id,
            doubted=is_doubted(env.fs, wal_dir_of(config.data, config.store)),
        )

    def _role_at_start(self, stored: Stored | None) -> Start:
        config, memory = self.config, self.parts.memory
        # --create makes a new, empty database, whatever a former one in this directory was.
        if config.create and stored is None and memory.verb == "primary":
            return Start("primary")
        return at_start(memory.verb, memory.record, stored)

    def _check_start(self, begin: Start) -> None:
        """Raises ConfigError for a start that could not come to an end, before it has any effect."""
        config, data, memory = self.config, self.parts.data, self.parts.memory
        if begin.role == "primary" and not data.has_data:
            check_gone(config.data, had_data=memory.record is not None, create=config.create)
        if begin.remembered is not None:
            log.warning("role.remembered", role=begin.role, reason=begin.remembered)
        if begin.role == "replica" and not data.has_data and memory.primary is None:
            raise ConfigError(
                "this node is a replica without data, and knows no primary to fetch it from; start it with "
                "`replicad replica --primary HOST:PORT`, or with --create as a new, empty primary"
            )
        # A copy could not be installed beside the log of another node: do not fetch one for nothing.
        if config.store.wal_dir is not None and not data.has_data:
            check_log_is_ours(self.env.fs, config.data, config.store.wal_dir.absolute())

    def _go_on(self) -> None:
        """Does what the node was about before it was ended."""
        memory = self.parts.memory
        if self.parts.standing.current is Standing.DOUBTING:
            self.parts.tasks.spawn(self.parts.pauses.confirm_role("it was started"))
        elif self.parts.standing.current is Standing.FOLLOWING:
            # A switchover decided that the role is the other's, and that one may not have heard of it.
            if memory.primary is not None and memory.granted_epoch is not None:
                self.parts.tasks.spawn(self.parts.switchover.deliver_grant(memory.primary))
            else:
                self.parts.link.start()

    async def _take_role(self) -> None:
        """Becomes what the verb says, by the rules of every change of role. Raises RoleRefused where a flag
        asked for it; the key in a configuration is only tried."""
        try:
            if isinstance(self.config, ReplicaConfig):
                await self.parts.served.follow(*self.config.primary)
            else:
                await self.parts.served.promote(force=False)
        except RoleRefused as error:
            if self.config.take_role_now:
                raise RoleRefused(f"--take-role: {error}") from None
            log.error("role.not_taken", wanted=self.parts.memory.verb, reason=str(error))

    async def _bind(self) -> Address:
        """Takes all ports, and lets nobody in but by HTTP. Where replicas are to connect."""
        await self.parts.clients.reserve()
        address = await self._listen_for_replicas()
        self.parts.addresses.bound = {"listen": self.parts.addresses.clients, "replication": str(address)}
        if self.config.http is not None:
            self.parts.addresses.bound["http"] = str(await self.parts.http.start(self.config.http))
        return address

    async def _listen_for_replicas(self) -> Address:
        """Where it listened before, when the system chooses: others remember it."""
        wanted, record = self.config.replication, self.parts.memory.record
        if wanted.port == 0 and record is not None and record.replication_port:
            there = Address(wanted.host, record.replication_port)
            with contextlib.suppress(OSError):
                return await self.parts.data.replicas.start(there, accept=False)
        return await self.parts.data.replicas.start(wanted, accept=False)

    # What it does while it runs.

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """To be run side by side until the node stops; none of them returns."""
        failover = self.parts.failover
        return [
            *([] if failover is None else [failover.run(), failover.failsafe.run()]),
            self.parts.publisher.run(),
            self.keep(),
            self.tick(),
            self.parts.survey.run(),
            self.parts.pauses.run(),
            self.parts.verification.run(),
            self.parts.secret_files.run(),
        ]

    async def keep(self) -> None:
        """Never returns: saves the bootstrap's progress, and raises the error that the store failed of."""
        failure = self.parts.tasks.failure
        while True:
            await self.parts.link.save_progress()
            if self.parts.store is None:
                notify(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1_000_000}")
            await asyncio.wait([failure], timeout=1.0)
            if failure.done():
                # A write may meet the missing directory before the watch does: report the cause.
                await look(self.config.data, self.records, None)
                failure.result()

    async def tick(self) -> None:
        """Never returns: what is done about once a second."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self.parts.open_store.feed is not None:
                await self._tried(self.parts.open_store.feed.tick())
            await self._tried(self.parts.link.note_progress())
            await self._tried(self.parts.links.tick())
            if (store := self.parts.store) is not None:
                if self.parts.served.is_writable:
                    self._clock_watch.look(store.clock_state, self.config.store.clock_jump_seconds_max)
                self._room_watch.look(self._lacks_room(store))
                self._slow_watch.look(store.timings.sync)
            above = self.parts.link.path if self.parts.link.is_linked else ()
            self.parts.peers.review({*above, *self.parts.open_store.sessions})

    def _lacks_room(self, store: Database) -> str | None:
        """What the store or the last write found no room for. There may be room again before anybody writes:
        a balancer sends nothing to a node that refuses writes."""
        server = self.parts.clients.server
        group = None if server is None else server.state.group
        refused = group is not None and group.no_room is not None
        if group is not None and refused and store.log_free_bytes > 2 * group.no_room_bytes + MIB:
            group.no_room = None
        if store.no_room is not None or group is None:
            return store.no_room
        return group.no_room

    def hang_up(self) -> None:
        """SIGHUP: the configuration is to be read again."""
        self.parts.tasks.spawn(self._read_again())

    async def _read_again(self) -> None:
        """Keeps the service manager informed, which counts a reload as done when the node is ready again."""
        notify("RELOADING=1", f"MONOTONIC_USEC={int(self.env.clock.monotonic() * 1_000_000)}")
        try:
            found = await self.parts.reload.reload()
            changed, left = len(found["changed"]), len(found["needs_restart"])
            keys = "key" if changed == 1 else "keys"
            status = f"configuration read again: {changed} {keys} changed, {left} need a restart"
        except ConfigError as error:
            status = f"the old configuration stays: {error}"
        notify(*(["READY=1"] if self.parts.is_ready else []), f"STATUS={status}")

    async def _tried(self, job: Coroutine[Any, Any, None]) -> None:
        """What a full disk or too few file descriptors prevent now, the next tick does."""
        try:
            await job
        except PoisonedError:
            raise
        except (ReplicadError, OSError) as error:
            log.warning("state.not_saved", reason=str(error))

    # The end.

    async def close(self) -> None:
        # No change of role begins any more, and what is known of the primary is written while it is known.
        self.parts.lock.stop()
        with contextlib.suppress(StoreError):
            await self.parts.link.note_progress()
        if self.parts.link.follower is not None:
            self.parts.link.follower.ended()

        # The tasks of the node use the store, so they end before it does.
        await self.parts.tasks.cancel()
        await self.parts.http.close()
        store = self.parts.store
        if store is None or store.failed is None:
            await self.parts.link.save_progress()
            await self.parts.publisher.publish()
        await self.parts.data.close()
        if self.parts.failover is not None:
            await self.parts.failover.close()
        self.parts.login.close()
        if store is not None and store.failed is None:
            with contextlib.suppress(StoreError):
                await self.parts.ahead.forget(store)
        await self.parts.peers.close()
