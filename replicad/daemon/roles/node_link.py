"""The link of a node to the node that it follows: started, ended, and what it does to this node's data.

While nobody is followed there is no follower. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from replicad.daemon.backups.archived_log import TargetLog
from replicad.daemon.backups.from_backup import FromBackup
from replicad.daemon.config import NodeConfig, ReplicaConfig
from replicad.daemon.data.node_data import NodeData
from replicad.daemon.data.verification import DataVerification
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_addresses import OwnAddresses
from replicad.daemon.records import NodeRecords
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.tasks import NodeTasks
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import SessionRefusedError, StoreError
from replicad.net.doors import Door
from replicad.replication.intake import LogIntake
from replicad.replication.policy.agree import has_diverged
from replicad.replication.policy.roles import HighWatermark
from replicad.replication.replica.follower import Follower
from replicad.replication.replica.link_state import LinkState
from replicad.replication.replica.restoring import RestoreFirst
from replicad.replication.traffic import Traffic
from replicad.replication.wire.connection import dial
from replicad.replication.wire.identify import Identity, Whereabouts
from replicad.replication.wire.messages import Welcome
from replicad.state import BootstrapProgress, RoleRecord
from replicad.store.database import Database
from replicad.types import Position

log = get_logger("replicad.daemon")

ROLE_WORDS = {
    LinkState.STREAMING: "connected",
    LinkState.BOOTSTRAPPING: "sync",
    LinkState.RESTORING: "sync",
    LinkState.INSTALLING: "sync",
    LinkState.WAITING: "connect",
}
"""ROLE's words for the states of the link; the others are "connecting"."""


def high_watermark_in(record: RoleRecord) -> HighWatermark | None:
    """What the record remembers of how far primaries said that they were."""
    if record.primary_sequence is None:
        return None
    epoch = record.epoch if record.primary_epoch is None else record.primary_epoch
    return HighWatermark(epoch, record.primary_sequence)


def _from_backup(config: NodeConfig, env: Env) -> FromBackup | None:
    if not isinstance(config, ReplicaConfig) or config.from_backup is None:
        return None
    return FromBackup(env, config.from_backup, config.data, config.backup)


class NodeLink:
    """Satisfies replication's `ReplicaData`."""

    def __init__(
        self,
        config: NodeConfig,
        env: Env,
        identity: Identity,
        records: NodeRecords,
        *,
        store: OpenStore,
        data: NodeData,
        verification: DataVerification,
        memory: RoleMemory,
        peers: Peers,
        addresses: OwnAddresses,
        tasks: NodeTasks,
        door: Door,
        changed: Callable[[], None],
        learn_nodes: Callable[[], Coroutine[Any, Any, object]],
        traffic: Traffic,
    ) -> None:
        """`changed` is called when the state of the link changed; `learn_nodes` asks the nodes above this one
        who else there is."""
        view = records.state.view()
        self.follower: Follower | None = None
        self.path: tuple[bytes, ...] = ()
        """The nodes above this one, nearest first."""
        self.high_watermark = None if view.role is None else high_watermark_in(view.role)
        """The greatest position that a primary reported, as far as it was noted."""
        self.last_bootstrap: dict[str, Any] | None = None
        self.from_backup = _from_backup(config, env)
        """What this node begins with when it has no data."""
        self._restore: RestoreFirst | None = None
        self._catches_up = False
        self._config = config
        self._env = env
        self._identity = identity
        self._records = records
        self._store = store
        self._data = data
        self._verification = verification
        self._memory = memory
        self._peers = peers
        self._addresses = addresses
        self._tasks = tasks
        self._door = door
        self._on_change = changed
        self._learn_nodes = learn_nodes
        self._traffic = traffic
        self._saved: BootstrapProgress | None = view.bootstrap
        self._following: asyncio.Task[None] | None = None

    def reconfigure(self, config: NodeConfig) -> None:
        """Takes over when reads are refused, and for the next start what is read before a copy is fetched."""
        self._config = config
        if self.from_backup is not None:
            self.from_backup.reconfigure(config.backup)
        if self.follower is not None:
            self.follower.reconfigure(config.link)

    def start(self, *, discard: bool = False, catch_up: bool = False) -> None:
        """Follows the node that the memory names. `discard`: first of all a copy replaces all data.
        `catch_up`: a candidate fetches what it lacks from a node that has promised its epoch, and is in a
        lower one."""
        primary, source = self._memory.primary, self.from_backup
        assert primary is not None
        self._catches_up = catch_up
        where = self._config.backup.catch_up_from or (None if source is None else source.where)
        begins = source is not None and not discard and not self._data.has_data
        self._restore = RestoreFirst(source, self._env.clock) if source is not None and begins else None

        self.follower = Follower(
            self._env,
            self._identity,
            self,
            self._config.data,
            lambda: dial(*primary, self._door),
            self._config.link,
            self._changed,
            whereabouts=self.whereabouts,
            on_welcome=self._welcomed,
            on_nodes=lambda message: self._peers.hear_of(message.nodes, message.gone),
            archive=None if where is None else TargetLog(self._env, where),
            restore=self._restore,
            on_repair_refused=self._verification.repair_refused,
            discard=discard,
            traffic=self._traffic,
        )

        # Before it runs: data that is doubted is fetched anew instead of being followed further.
        self._verification.following(self.follower)
        self._following = self._tasks.spawn(self.follower.run())

    def start_again(self) -> None:
        """After a change that was refused: follows the node that was followed before, if there was one."""
        if self._memory.primary is not None:
            self.start()

    async def stop(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if self.follower is not None:
            self.high_watermark = self.highest_watermark
            self.follower = None
            self._verification.following(None)

    def forget(self) -> None:
        """This node is the primary itself now."""
        self.path, self.high_watermark = (), None
        self._verification.diverged(None)

    @property
    def highest_watermark(self) -> HighWatermark | None:
        """The greatest position that a primary reported."""
        heard = None if self.follower is None else self.follower.link.high_watermark
        return max(
            (high_watermark for high_watermark in (heard, self.high_watermark) if high_watermark is not None),
            default=None,
        )

    @property
    def last_restore(self) -> dict[str, Any] | None:
        """What this node began with, and whether the log that was restored reached the primary's."""
        if self.from_backup is None or self.from_backup.last is None:
            return None
        return {**self.from_backup.last, "gap": None if self._restore is None else self._restore.gap}

    @property
    def is_linked(self) -> bool:
        return self.follower is not None and self.follower.link.state.is_linked

    @property
    def role_word(self) -> str:
        return "connect" if self.follower is None else ROLE_WORDS.get(self.follower.link.state, "connecting")

    def whereabouts(self) -> Whereabouts:
        return Whereabouts(self._addresses.replication, self._addresses.clients, self.path)

    def _changed(self) -> None:
        """The state of the link changed, or the progress of a bootstrap."""
        follower = self.follower
        self._on_change()
        if follower is None:
            return
        link = follower.link
        if link.state is LinkState.STREAMING:
            self._verification.diverged(None)
        elif link.state is LinkState.STOPPED and has_diverged(
            link.stopped_code, follows_primary=len(self.path) == 1
        ):
            self._verification.diverged(link.last_error)

    def _welcomed(self, welcome: Welcome) -> None:
        memory = self._memory

        # A promise: a candidate counts on it that nothing lower is acknowledged from here.
        if welcome.position.epoch < memory.promised_epoch and not self._catches_up:
            raise SessionRefusedError(
                "promised",
                f"the node there is in epoch {welcome.position.epoch}, and this one has promised "
                f"{memory.promised_epoch} to a candidate",
                True,
            )

        # The node answered at that address itself: that proves where it is. Nodes of another database are not
        # remembered.
        if memory.primary is not None and self._store.database_id in (None, welcome.database):
            self._peers.remember_proven(welcome.node, str(memory.primary), welcome.clients)
        memory.primary_clients = welcome.clients

        # This node kept log for that one when it followed: no more.
        feed = self._store.feed
        if feed is not None:
            feed.drop_slot(welcome.node)

        # The replicas of this node learn the path when they connect again. This node gets to know the nodes
        # above now: when the next one is gone they cannot be found through it any more.
        path = (welcome.node, *welcome.path)
        if path != self.path:
            self.path = path
            self._tasks.spawn(self._data.replicas.end_sessions())
            if len(path) > 1:
                self._tasks.spawn(self._learn_nodes())

    # What is written down.

    async def note_progress(self) -> None:
        """Writes down what is known of the primary, for the day on which it does not answer."""
        store, memory = self.store, self._memory
        if memory.record is None or store is None:
            return

        # The epoch that fenced this node, or that it gave away, is in its own history now.
        above = max(memory.fenced_by or 0, memory.granted_epoch or 0)
        if above and store.durable_position.epoch >= above:
            await memory.save(self._store.epoch, fenced_by=None, granted_epoch=None)

        high_watermark = self.high_watermark = self.highest_watermark
        primary_node = self.path[-1] if self.path else memory.primary_node
        if high_watermark is not None and (high_watermark, primary_node) != (
            high_watermark_in(memory.record),
            memory.primary_node,
        ):
            epoch, sequence = high_watermark
            await memory.save(
                self._store.epoch,
                primary_sequence=sequence,
                primary_epoch=epoch,
                primary_node=primary_node,
            )

    async def save_progress(self) -> None:
        """Writes down the progress of the bootstrap that is under way."""
        progress = None if self.follower is None else self.follower.progress
        if progress != self._saved:
            self._saved = progress
            try:
                await self._records.show_bootstrap(progress)
            except StoreError as error:
                log.warning("state.not_saved", reason=str(error))

    # What replication asks of the data.

    @property
    def store(self) -> Database | None:
        return self._store.database

    @property
    def intake(self) -> LogIntake | None:
        return self._data.delay.apply

    @property
    def held_because(self) -> str | None:
        return self._data.delay.held_because

    def local_files(self) -> Any:
        return self._data.local_files()

    async def resume(self) -> None:
        await self._data.resume()

    async def install(self, staging: Path) -> None:
        follower = self.follower
        progress = None if follower is None else follower.progress
        await self._data.install(staging)
        self._verification.installed()
        if follower is not None and follower.restoring is not None and self.from_backup is not None:
            await self.from_backup.installed()
        elif progress is not None and follower is not None:
            seconds = self._env.clock.monotonic() - follower.progress_started_at
            self.last_bootstrap = {
                "position": progress.position,
                "files": progress.files_total,
                "size_bytes": progress.size_bytes_total,
                "fetched_bytes": progress.size_bytes_total - follower.progress_started_bytes,
                "seconds": round(seconds, 3),
            }

    async def rewind(self, fork: Position) -> bool:
        return await self._data.rewind(fork)
