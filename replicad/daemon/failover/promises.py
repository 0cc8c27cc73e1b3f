"""What a node promises to others about a failover, and that it keeps it.

    PROMISE e    from a candidate that has claimed epoch e. First the promise is durable: nothing lower any
                 more. Then the old stream ends, and is acknowledged no more; a primary gives its role up.
                 Only then the answer, with all that was ever acknowledged with this node's help
    FAILSAFE     from a leader that etcd does not answer. A node that says that it follows holds still for
                 the time of a lease: it neither claims the leadership nor promises an epoch

A node that was started may have said FOLLOWS shortly before. So it holds still for that long, too.

The promise is kept in one place: a link ends when the node there is in a lower epoch (`NodeLink`). Belongs to
the event loop.
"""

from __future__ import annotations

from functools import partial

from replicad.daemon.failover.keys import Keys
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.fencing import Fencing
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.errors import EtcdError, RoleRefused
from replicad.etcd.calls import Etcd
from replicad.replication.options import RoleOptions
from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX
from replicad.replication.policy.roles import Standing
from replicad.replication.tasks import in_thread
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.messages import Failsafe, Follows, Promise, Promised
from replicad.store.database import Database

log = get_logger("replicad.daemon")


class Promises:
    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        options: RoleOptions,
        etcd: Etcd,
        *,
        ttl_seconds: float,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        link: NodeLink,
        fencing: Fencing,
        lock: ChangeLock,
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._options = options
        self._etcd = etcd
        self._standing = standing
        self._store = store
        self._memory = memory
        self._link = link
        self._fencing = fencing
        self._lock = lock
        self.is_claiming = False
        """This node stands for election itself."""
        self._ttl_seconds = ttl_seconds
        self._held_until = clock.awake() + ttl_seconds
        self._held_for = "it was started"
        self._vouched_for: bytes | None = None

    @property
    def holds_still(self) -> str | None:
        """Why this node may neither claim the leadership nor promise an epoch now, or None. The same words as
        long as that is so."""
        return None if self._held_seconds <= 0 else f"{self._held_for}: it holds still"

    def check_held(self) -> None:
        """Raises RoleRefused while this node holds still, with the seconds that are left."""
        if (reason := self.holds_still) is not None:
            raise RoleRefused(f"{reason} for another {self._held_seconds:.1f} s")

    def check_applied(self) -> None:
        """Raises RoleRefused while log waits here to be applied: it may have been acknowledged with this
        node's help, and no candidate can fetch it. The link has ended."""
        apply = self._store.apply
        if apply is not None and apply.is_waiting:
            raise RoleRefused(f"this node received through {apply.position}, and has not applied that")

    @property
    def _held_seconds(self) -> float:
        return self._held_until - self._clock.awake()

    @property
    def vouches_for(self) -> bytes | None:
        """The leader without etcd to which this node said that it follows; None once it need not hold still
        for that any more."""
        return None if self.holds_still is None else self._vouched_for

    # To a candidate.

    async def promise(self, message: Promise) -> Promised:
        """Raises RoleRefused."""
        store = self._check(message.database)
        self._check_promise(message, store)
        await self._check_claim(message)
        if self._standing.current is Standing.HANDING_OVER:
            # The switchover that is under way ends once an epoch was begun, and that may need this promise.
            # This node writes and acknowledges nothing meanwhile. If nobody takes the leadership it steps
            # down.
            await self._promise_beside(message)
        else:
            await self._lock.run(partial(self._promise, message))
        store = self._check(message.database)

        # What was written or received before, and not synced yet, may have been acknowledged by others.
        await in_thread(store.wait_durable, store.appended_sequence, self._options.switchover_seconds)
        self.check_applied()
        log.warning("failover.promised", epoch=message.epoch, to=message.node.hex(), at=str(store.position))
        return Promised(self._identity.node, message.epoch, store.durable_position)

    async def _promise(self, message: Promise) -> str:
        # Another promise, a claim or a FAILSAFE may have had its turn first.
        self._check_promise(message, self._check(message.database))

        # Durable first. A death after this leaves a node that acknowledges nothing lower when it starts.
        await self.record(message.epoch, message.node)

        # The standing moves at once; what is written and not answered yet will not be.
        if self._standing.role == "primary":
            self._fencing.fence(message.epoch)
        else:
            await self._link.stop()
        return ""

    async def _promise_beside(self, message: Promise) -> None:
        self._check_promise(message, self._check(message.database))
        await self.record(message.epoch, message.node)

    async def record(self, epoch: int, node: bytes) -> None:
        """Nothing below that epoch is acknowledged any more; durable when it returns."""
        await self._memory.save(self._store.epoch, promised_epoch=epoch, promised_node=node)

    def _check(self, database: bytes) -> Database:
        store = self._store.database
        if store is None or store.database_id != database:
            raise RoleRefused("this node has not that database")
        return store

    def _check_promise(self, message: Promise, store: Database) -> None:
        record, promised = self._memory.record, self._memory.promised_epoch
        self.check_held()
        again = record is not None and (promised, record.promised_node) == (message.epoch, message.node)
        if message.epoch <= promised and not again:
            raise RoleRefused(f"this node has promised epoch {promised}")
        if store.durable_position.epoch >= message.epoch:
            raise RoleRefused(f"this node is in epoch {store.durable_position.epoch}")

    async def _check_claim(self, message: Promise) -> None:
        """Anybody who reaches the port can ask for a promise: etcd says who has claimed the epoch."""
        keys = Keys(message.database)
        try:
            leader = keys.read(await self._etcd.range(keys.leader)).leader
        except EtcdError:
            # A failover must not depend on this node's way to etcd. What was never claimed does no more harm
            # than a higher epoch that is heard of does: the next one undoes it.
            if message.epoch - max(self._store.epoch, self._memory.promised_epoch) >= EPOCH_STEP_MAX:
                raise RoleRefused(f"nobody can have claimed epoch {message.epoch}") from None
            return
        if leader is None or (leader.node, leader.epoch) != (message.node.hex(), message.epoch):
            raise RoleRefused(f"etcd does not say that {message.node.hex()[:8]} has claimed {message.epoch}")

    # To a leader without etcd.

    def follows(self, message: Failsafe) -> Follows:
        """Raises RoleRefused."""
        self._check(message.database)
        follower, path = self._link.follower, self._link.path
        # A promise or a claim that is under way has passed the question whether this node holds still.
        if self.is_claiming or self._lock.is_taken or follower is None or not self._link.is_linked:
            raise RoleRefused("this node follows nobody at the moment")
        if message.node not in path:
            raise RoleRefused("this node follows another one")
        if (newer := max(self._memory.promised_epoch, self._store.epoch)) > message.epoch:
            raise RoleRefused(f"this node has promised, or reached, epoch {newer}")

        # It would not hold still for longer after a restart, which forgets this.
        seconds = message.hold_ms / 1000
        if seconds > self._ttl_seconds:
            raise RoleRefused(f"ttl_seconds is {seconds:g} there, and {self._ttl_seconds:g} here")
        self._held_until = max(self._held_until, self._clock.awake() + seconds)
        self._held_for = f"it follows {message.node.hex()[:8]}, which etcd does not answer"
        self._vouched_for = message.node
        return Follows(self._identity.node, message.epoch)
