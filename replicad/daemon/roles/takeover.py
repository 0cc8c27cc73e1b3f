"""The target's side of a switchover: a replica gets ready, and takes the role over when it is granted.

    HANDOVER P   waits until P is durable here, and says READY. It promises nothing: it follows on as before
    GRANT e      ends the link, checks that it is at P and that the giver says so, begins epoch e

A death before the epoch is durable leaves the replica that was there before: the old primary repeats the
grant, and the target takes it then. A death after it leaves the new primary, which answers the repeated grant
with the epoch that it is in. `switchover` has the whole drawing. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.promotion import Promotion
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.roles.switchover_steps import reached
from replicad.errors import RoleRefused
from replicad.net.addresses import address_of
from replicad.replication.options import RoleOptions
from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX
from replicad.replication.policy.roles import Standing
from replicad.replication.tasks import Wakeup
from replicad.replication.wire.messages import Grant, Handover, Ready, Refuse
from replicad.store.database import Database
from replicad.types import Position


class Takeover:
    def __init__(
        self,
        options: RoleOptions,
        *,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        peers: Peers,
        link: NodeLink,
        promotion: Promotion,
        lock: ChangeLock,
        refusal: Callable[[], str | None],
        holds_still: Callable[[], str | None] = lambda: None,
        expect_to_lead: Callable[[], None] | None = None,
    ) -> None:
        """`refusal` says why a switchover cannot hand the writes to this node, or gives None. Where etcd
        decides who leads, `holds_still` says why this node may not claim that now, and `expect_to_lead` is
        called when the giver may free it."""
        self._refusal = refusal
        self._holds_still = holds_still
        self._expect_to_lead = expect_to_lead
        self._options = options
        self._standing = standing
        self._store = store
        self._memory = memory
        self._peers = peers
        self._link = link
        self._promotion = promotion
        self._lock = lock

    async def get_ready(self, message: Handover) -> Ready | Refuse:
        """Answers when the position is durable here, or the time is over."""
        store = self._store.database
        following = self._standing.current is Standing.FOLLOWING
        if store is None or store.database_id != message.database or not following:
            return Refuse("not-following", "this node does not follow that database", False)
        # It would have to apply at once what it is to keep from its readers.
        if (refusal := self._refusal()) is not None:
            return Refuse("delayed", refusal, False)
        # The giver's clients would wait for as long as that.
        if (reason := self._holds_still()) is not None:
            return Refuse("holds-still", reason, True)
        if await _until_at(store, message.position, message.within_ms / 1000):
            reached("target-ready")
            if self._expect_to_lead is not None:
                self._expect_to_lead()
            return Ready(message.position)
        return Refuse("behind", f"this node is at {store.durable_position}, not at {message.position}", True)

    async def take_over(self, message: Grant) -> None:
        """Begins the epoch; raises RoleRefused if this node must not."""
        if self._expect_to_lead is not None:
            raise RoleRefused("here etcd says who leads: the giver needs [failover], too")
        store = self._store.database
        if store is None or store.database_id != message.database:
            raise RoleRefused("this node has another database")

        # The giver repeats a grant whose answer it did not get: then the epoch has begun already.
        if store.durable_position.epoch >= message.epoch:
            return
        if message.epoch - store.durable_position.epoch >= EPOCH_STEP_MAX:
            raise RoleRefused(
                f"nobody gave epoch {message.epoch} to a node in {store.durable_position.epoch}"
            )

        # A grant may come again after a restart, to a node that has still to catch up.
        if not await _until_at(store, message.position, self._options.switchover_seconds):
            raise RoleRefused(f"this node is at {store.durable_position}, not at {message.position}")
        reached("granted")
        await self._lock.run(partial(self._take_over, message))

    async def _take_over(self, message: Grant) -> str:
        # Another change may have had its turn first: one that made it the primary has begun an epoch.
        if self._standing.current is not Standing.FOLLOWING:
            return ""

        # Until the link has ended it followed, maybe a node other than the giver. What it took from there
        # since is not in the history that the giver handed over.
        await self._link.stop()
        store = self._store.database
        if store is None or store.database_id != message.database or store.position != message.position:
            self._link.start_again()
            raise RoleRefused(f"this node is not at {message.position} any more")

        # Anybody who reaches the port can send a grant.
        if not await self._has_given(message):
            self._link.start_again()
            raise RoleRefused(f"{message.node.hex()} does not say that it gave epoch {message.epoch} away")
        reached("alone")

        # The giver writes no more, and no link writes here: this is the only node that may.
        await self._promotion.begin_epoch(message.epoch)
        reached("begun")
        return ""

    async def _has_given(self, message: Grant) -> bool:
        """Whether the node that gives its role says so itself, asked where it is known to be."""
        peer, primary = self._peers.get(message.node), self._memory.primary
        known = {primary, None if peer is None else address_of(peer.replication)}
        addresses = [address for address in known if address is not None]
        answers = await self._peers.ask_all(addresses, self._options.ask_seconds)
        return any(answer.node == message.node and answer.granted == message.epoch for answer in answers)


async def _until_at(store: Database, position: Position, seconds: float) -> bool:
    """Whether the store comes to be at the position, durably, within that time."""
    wakeup = Wakeup()
    unsubscribe = store.subscribe(wakeup.notify)
    try:
        async with asyncio.timeout(seconds):
            while store.durable_position.sequence < position.sequence and store.failed is None:
                wakeup.clear()
                # Looked at again: the store may have moved between the first look and `clear`.
                if store.durable_position.sequence < position.sequence:
                    await wakeup.wait()
    except TimeoutError:
        pass
    finally:
        unsubscribe()
    return store.durable_position == position
