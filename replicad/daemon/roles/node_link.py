"""The link of a node to its primary: begun, ended, and what it does to the node's data.

While nobody is followed there is no follower. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from replicad.daemon.backups.archived_log import TargetLog
from replicad.errors import StoreError
from replicad.replication.policy.agree import has_diverged
from replicad.replication.policy.roles import Told
from replicad.replication.replica.follower import Follower
from replicad.replication.wire.connection import dial
from replicad.replication.wire.identify import Whereabouts
from replicad.replication.wire.messages import Welcome
from replicad.state import BootstrapProgress, RoleRecord
from replicad.store.database import Database
from replicad.types import Position

if TYPE_CHECKING:
    from replicad.daemon.program import NodeProgram
    from replicad.daemon.records import NodeRecords

log = structlog.get_logger("replicad.daemon")

LINKED = frozenset({"streaming", "bootstrapping", "installing"})
"""The states of the link in which the primary is heard."""
ROLE_WORDS = {"streaming": "connected", "bootstrapping": "sync", "installing": "sync", "waiting": "connect"}
"""ROLE's words for the states of the link; the others are "connecting"."""


def told_in(record: RoleRecord) -> Told | None:
    """What is remembered of what primaries told."""
    if record.primary_sequence is None:
        return None
    epoch = record.epoch if record.primary_epoch is None else record.primary_epoch
    return Told(epoch, record.primary_sequence)


class NodeLink:
    """Satisfies replication's `ReplicaData`."""

    def __init__(self, node: NodeProgram, records: NodeRecords) -> None:
        view = records.state.view()
        self.follower: Follower | None = None
        self.path: tuple[bytes, ...] = ()
        """The nodes above this one, nearest first."""
        self.told = None if view.role is None else told_in(view.role)
        """The greatest of what primaries told, as far as it was noted."""
        self.last_bootstrap: dict[str, Any] | None = None
        self._node = node
        self._records = records
        self._saved: BootstrapProgress | None = view.bootstrap
        self._following: asyncio.Task[None] | None = None

    def start(self, *, discard: bool = False) -> None:
        """With `discard` all data is replaced by a copy before anything else."""
        node = self._node
        primary, where = node.memory.primary, node.config.backup.catch_up_from
        assert primary is not None
        self.follower = Follower(
            node.env,
            node.identity,
            self,
            node.config.data,
            lambda: dial(*primary),
            node.config.link,
            self._changed,
            whereabouts=self.whereabouts,
            on_welcome=self._welcomed,
            on_nodes=lambda message: node.peers.hear_of(message.nodes, message.gone),
            archive=None if where is None else TargetLog(node.env, where),
            discard=discard,
        )
        node.verification.following(self.follower)
        self._following = node.spawn(self.follower.run())

    async def stop(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if self.follower is not None:
            self.told = self.told_at_most
            self.follower = None

    def forget(self) -> None:
        """This node is the primary itself now."""
        self.path, self.told = (), None
        self._node.verification.diverged(None)

    @property
    def told_at_most(self) -> Told | None:
        """The greatest of what primaries told."""
        heard = None if self.follower is None else self.follower.link.told
        return max((told for told in (heard, self.told) if told is not None), default=None)

    @property
    def is_linked(self) -> bool:
        return self.follower is not None and self.follower.link.state in LINKED

    @property
    def role_word(self) -> str:
        return "connect" if self.follower is None else ROLE_WORDS.get(self.follower.link.state, "connecting")

    def _changed(self) -> None:
        """The state of the link changed, or how far a bootstrap is."""
        node, follower = self._node, self.follower
        node.shower.nudge()
        if follower is None:
            return
        link = follower.link
        if link.state == "streaming":
            node.verification.diverged(None)
        elif link.state == "stopped" and has_diverged(link.stopped_code, follows_primary=len(self.path) == 1):
            node.verification.diverged(link.last_error)

    def whereabouts(self) -> Whereabouts:
        node = self._node
        return Whereabouts(node.listening.get("replication", ""), str(node.clients.address), self.path)

    def _welcomed(self, welcome: Welcome) -> None:
        node = self._node
        path = (welcome.node, *welcome.path)
        if node.memory.primary is not None and node.holding.database_id in (None, welcome.database):
            node.peers.remember_proven(welcome.node, str(node.memory.primary), welcome.clients)
        node.memory.primary_clients = welcome.clients
        if path != self.path:
            self.path = path
            node.spawn(node.holding.replicas.end_sessions())  # they learn the path when they connect again
            if len(path) > 1:
                node.spawn(node.certainty.ask_around())  # to know those above when the next one is gone

    async def note_progress(self) -> None:
        """What is remembered of the primary, for the day on which it does not answer."""
        store, memory = self.store, self._node.memory
        if memory.record is None or store is None:
            return
        above = max(memory.fenced_by or 0, memory.granted_epoch or 0)
        if above and store.durable_position.epoch >= above:
            await memory.save(self._node.epoch, fenced_by=None, granted_epoch=None)
        told = self.told = self.told_at_most
        primary_node = self.path[-1] if self.path else memory.primary_node
        if told is not None and (told, primary_node) != (told_in(memory.record), memory.primary_node):
            epoch, sequence = told
            await memory.save(
                self._node.epoch,
                primary_sequence=sequence,
                primary_epoch=epoch,
                primary_node=primary_node,
            )

    async def save_progress(self) -> None:
        """How far the bootstrap that is under way has come."""
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
        return self._node.holding.store

    def local_files(self) -> Any:
        return self._node.holding.local_files()

    async def resume(self) -> None:
        await self._node.holding.resume()

    async def install(self, staging: Path) -> None:
        follower = self.follower
        progress = None if follower is None else follower.progress
        await self._node.holding.install(staging)
        self._node.verification.installed()
        if progress is not None and follower is not None:
            seconds = self._node.env.clock.monotonic() - follower.progress_started_at
            self.last_bootstrap = {
                "position": progress.position,
                "files": progress.files_total,
                "size_bytes": progress.size_bytes_total,
                "fetched_bytes": progress.size_bytes_total - follower.progress_started_bytes,
                "seconds": round(seconds, 3),
            }

    async def rewind(self, fork: Position) -> bool:
        return await self._node.holding.rewind(fork)
