"""Copies of a primary's data for those that come without any: one a replica, with the log that it needs after
it, and one for each who wants nothing but a copy.
"""

from __future__ import annotations

from replicad.env import Env
from replicad.env.events import bind, get_logger
from replicad.env.task_rate_limit import TaskRateLimiter
from replicad.errors import TooManySessionsError
from replicad.replication.copy.copies import Copies
from replicad.replication.copy.serve_copy import CopyServer
from replicad.replication.options import ReplicationOptions
from replicad.replication.policy.agree import Code
from replicad.replication.ports import Records
from replicad.replication.primary.session import ReplicaSession
from replicad.replication.primary.slots import Slots
from replicad.replication.tasks import in_thread
from replicad.replication.traffic import Traffic
from replicad.store.database import Database

log = get_logger("replicad.replication")

COPIES_MAX = 64
"""Copies that a node offers at a time. One more takes the place of the one that was not read for longest."""


class Copying:
    """Belongs to the event loop."""

    def __init__(
        self,
        env: Env,
        source: Database,
        slots: Slots,
        records: Records,
        copies: Copies,
        options: ReplicationOptions,
        traffic: Traffic,
    ) -> None:
        self._env = env
        self._source = source
        self._slots = slots
        self._records = records
        self._copies = copies
        self._options = options
        self._traffic = traffic
        self._rate = TaskRateLimiter(env.clock, options.copy_bytes_per_second or None)

    async def serve_replica(self, session: ReplicaSession, why: Code) -> None:
        """Until the replica has installed its copy. It has a slot."""
        node_id = session.hello.node
        copy = await in_thread(self._copies.find, node_id)
        if copy is None:
            await self._make_room()
            session.made_copy = True
            # From before the cut on, so that nothing after its position can go meanwhile.
            slot = self._slots.hold(node_id, self._source.durable_sequence, self._env.clock.wall_us())
            await self._records.put_slot(slot)
            copy = await in_thread(self._copies.make, node_id)
            self._traffic.full_copies[why.value] += 1
        copy.in_use = True  # from here on nobody else's takes its place
        bind(copy=copy.copy_id.hex())

        # The slot moves to the copy's own position: the replica streams from there once it has the copy.
        slot = self._slots.hold(
            node_id,
            copy.position.sequence,
            self._env.clock.wall_us(),
            name=session.hello.name,
            owner=session.owner,
        )
        self._slots.begin_reading(node_id)
        await self._records.put_slot(slot)

        session.server = CopyServer(
            copy, self._env.fs, self._env.clock, self._rate, self._options, self._traffic
        )
        session.state = "bootstrapping"
        log.info(
            "bootstrap.serving",
            node=node_id.hex(),
            position=str(copy.position),
            files=len(copy.entries),
            size_bytes=copy.size_bytes,
        )

        await session.server.serve(session.connection)
        log.info("bootstrap.installed", node=node_id.hex(), position=str(copy.position))

        session.server.close()
        session.server = None
        await in_thread(self._copies.remove, copy)

    async def serve_stranger(self, session: ReplicaSession) -> None:
        """A copy for a peer that is not a replica: it goes with the session, and no log is kept for it."""
        await self._make_room()
        copy = await in_thread(self._copies.make, session.hello.node)
        self._traffic.full_copies["copy-only"] += 1
        copy.in_use = True
        bind(copy=copy.copy_id.hex())
        server = session.server = CopyServer(
            copy, self._env.fs, self._env.clock, self._rate, self._options, self._traffic
        )
        log.info("copy.serving", peer=session.connection.peer, position=str(copy.position))
        try:
            await server.serve(session.connection)
            log.info("copy.served", peer=session.connection.peer, position=str(copy.position))
        finally:
            server.close()
            await in_thread(self._copies.remove, copy)

    async def tick(self) -> None:
        """Ends copies that nobody uses."""
        for copy in self._copies.unused(self._options.copy_keep_seconds):
            log.info("bootstrap.copy_expired", node=copy.node_id.hex(), position=str(copy.position))
            self._slots.invalidate(copy.node_id, "its bootstrap was given up: nobody read from the copy")
            try:
                await in_thread(self._copies.remove, copy)
            except OSError as error:
                log.warning("bootstrap.copy_not_removed", path=str(copy.path), reason=str(error))

    def reconfigure(self, options: ReplicationOptions) -> None:
        """A limit that `REPLICAD.THROTTLE` set stays unless the configured one is another one now."""
        before, self._options = self._options, options
        if options.copy_bytes_per_second != before.copy_bytes_per_second:
            self.bytes_per_second = options.copy_bytes_per_second

    @property
    def bytes_per_second(self) -> int:
        """What all copies together may take; 0 means no limit."""
        return int(self._rate.bytes_per_second or 0)

    @bytes_per_second.setter
    def bytes_per_second(self, bytes_per_second: int) -> None:
        self._rate.set_rate(bytes_per_second or None)

    async def _make_room(self) -> None:
        """Raises TooManySessionsError when all copies are being read."""
        while len(self._copies) >= COPIES_MAX:
            least = self._copies.least_used()
            if least is None:
                raise TooManySessionsError(f"this node offers {len(self._copies)} copies, the most at a time")
            await in_thread(self._copies.remove, least)
