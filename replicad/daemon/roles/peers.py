"""The other nodes of the database that this one knows: remembered in its state, asked who they are.

    it says so itself (HELLO, STANDING) ──> remembered, and asked back there ──answers──> proven
    the node that is followed says so ─────────────────────────────────────────────────> proven
    nobody hears of it for long, or of one that is not proven for a minute ─────────────> forgotten

Anybody can claim to be a node at some address. So a claim never replaces what is proven, and does not count
when a replica is promoted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator
from dataclasses import replace

from replicad.daemon.records import NodeRecords
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import ReplicadError, StoreError
from replicad.net.addresses import Address, address_of
from replicad.net.doors import CLEAR, Door
from replicad.replication.wire.headers import NodeEntry
from replicad.replication.wire.introduction import ask, view_of
from replicad.replication.wire.messages import NODES_MAX, StandingMessage
from replicad.state import KnownPeer

log = get_logger("replicad.daemon")

PEERS_MAX = NODES_MAX
SEEN_AGAIN_US = 60_000_000
"""That a node was seen is written about once a minute."""
UNPROVEN_SECONDS = 60.0
"""How long a node is remembered that only said so itself, and does not answer there."""
AWAY_STEP_SECONDS = 600
"""The step in which the absence of nodes is counted: each step is a write to the node's state."""
CHECKS_MAX = 8
"""Nodes that are asked back at once."""
CHECK_SECONDS = 5.0


class Peers:
    """Belongs to the event loop."""

    def __init__(
        self,
        env: Env,
        records: NodeRecords,
        me: bytes,
        introduce: Callable[[], StandingMessage],
        *,
        door: Door = CLEAR,
        kept_seconds: float = 0.0,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`introduce` gives what the others hear of this node. A node that nobody has heard of for
        `kept_seconds` is forgotten (0: never); `changed` is called when another set of nodes, or addresses,
        is proven."""
        self._env = env
        self._records = records
        self._me = me
        self._introduce = introduce
        self._door = door
        self.kept_seconds = kept_seconds
        self._changed = changed
        self._known = {peer.node_id: peer for peer in records.state.view().peers}
        self._unproven_since = dict.fromkeys(self._known, env.clock.awake())
        self._counted_from = env.clock.awake()
        self._checking: dict[bytes, asyncio.Task[StandingMessage | None]] = {}
        self._writes: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[KnownPeer]:
        return iter(list(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    def get(self, node_id: bytes) -> KnownPeer | None:
        return self._known.get(node_id)

    # What is remembered.

    def remember(self, node_id: bytes, replication: str, clients: str) -> None:
        """A node that says itself where it is; it is asked there."""
        known = self._known.get(node_id)
        if known is not None and known.replication == replication:
            self._put(replace(known, clients=clients, away_seconds=0))
            if known.is_proven:
                return
        elif known is None or not known.is_proven:
            self._put(self._peer(node_id, replication, clients))
        self._check(node_id, replication)

    def remember_proven(self, node_id: bytes, replication: str, clients: str, away_seconds: int = 0) -> None:
        """A node that was reached there, or was by the node that this one follows."""
        known = self._known.get(node_id)
        if known is not None and known.is_proven and known.replication == replication:
            away_seconds = min(away_seconds, known.away_seconds)
        peer = self._peer(node_id, replication, clients)
        self._put(replace(peer, is_proven=1, away_seconds=away_seconds))
        for other in list(self._known.values()):
            if other.node_id != node_id and other.replication == replication:
                self.forget(other.node_id)  # another directory is served there now

    def hear_of(self, entries: Iterable[NodeEntry], gone: Iterable[bytes]) -> None:
        """What the node says that this one follows."""
        for entry in entries:
            self.remember_proven(entry.node, entry.replication, entry.clients, entry.away_seconds)
        for node_id in gone:
            self.forget(node_id)

    def forget(self, node_id: bytes) -> bool:
        """Whether it was known."""
        peer = self._known.pop(node_id, None)
        if peer is None:
            return False
        self._unproven_since.pop(node_id, None)
        self._write(self._records.remove_peer(node_id))
        return True

    def review(self, present: Container[bytes]) -> None:
        """Forgets nodes that were not heard for too long; `present` are connected. Called often."""
        # Only the time counts in which this node ran: while it was down it could hear nobody.
        now = self._env.clock.awake()
        steps = int(now - self._counted_from) // AWAY_STEP_SECONDS
        self._counted_from += steps * AWAY_STEP_SECONDS

        for peer in list(self._known.values()):
            if peer.node_id in present:
                self._unproven_since[peer.node_id] = now
                if peer.away_seconds:
                    self._put(replace(peer, away_seconds=0))
                continue
            away_seconds = peer.away_seconds + steps * AWAY_STEP_SECONDS
            unproven_seconds = now - self._unproven_since.setdefault(peer.node_id, now)
            # A claim that nobody confirms goes soon; a proven node may have writes that others lack.
            if not peer.is_proven and unproven_seconds > UNPROVEN_SECONDS:
                self.forget(peer.node_id)
            elif self.kept_seconds and away_seconds > self.kept_seconds:
                log.info("peer.forgotten", node=peer.node_id.hex(), away_seconds=away_seconds)
                self.forget(peer.node_id)
            elif steps:
                self._put(replace(peer, away_seconds=away_seconds))

        # Replicas are told again for how long each node has been away.
        if steps:
            self._changed()

    def entries(self) -> tuple[NodeEntry, ...]:
        """Those that others are told of."""
        return tuple(
            NodeEntry(peer.node_id, peer.replication, peer.clients, peer.away_seconds)
            for peer in self._known.values()
            if peer.is_proven
        )

    def addresses(self, *, but: Iterable[bytes] = ()) -> set[Address]:
        """Where to find them, those of the given ids left out."""
        left_out = set(but)
        found = {address_of(peer.replication) for id, peer in self._known.items() if id not in left_out}
        return {address for address in found if address is not None}

    # Asking.

    async def ask_all(self, addresses: Iterable[Address], seconds: float) -> list[StandingMessage]:
        """Who answers, each in at most so long."""
        answers = await asyncio.gather(*(self.ask(address, seconds) for address in addresses))
        return [answer for answer in answers if answer is not None]

    async def ask(self, address: Address, seconds: float) -> StandingMessage | None:
        """Who answers there, if it is another node and says what this version knows."""
        try:
            answer = await ask(*address, self._introduce(), seconds=seconds, door=self._door)
            view_of(answer)
        except (OSError, ReplicadError) as error:
            log.debug("peer.silent", address=str(address), reason=str(error))
            return None
        if answer.node == self._me:
            return None
        if self.is_stranger(answer):
            self.forget(answer.node)
        else:
            self.remember_proven(answer.node, str(address), answer.clients)
        return answer

    def is_stranger(self, answer: StandingMessage) -> bool:
        """Whether it has another database."""
        mine = self._introduce().database
        return mine is not None and answer.database is not None and answer.database != mine

    async def close(self) -> None:
        checks = list(self._checking.values())
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)
        await asyncio.gather(*self._writes, return_exceptions=True)

    # Inside.

    def _peer(self, node_id: bytes, replication: str, clients: str) -> KnownPeer:
        now_us = self._env.clock.wall_us()
        return KnownPeer(node_id=node_id, replication=replication, clients=clients, seen_us=now_us)

    def _put(self, peer: KnownPeer) -> None:
        """Remembers it, unless it is this node, has no address, or there is no room for it."""
        if address_of(peer.replication) is None or peer.node_id == self._me:
            return

        # That a node was seen again is written only now and then: each write is a sync of the disk.
        known = self._known.get(peer.node_id)
        if known is not None and replace(peer, seen_us=known.seen_us) == known:
            if abs(peer.seen_us - known.seen_us) < SEEN_AGAIN_US:
                return
        # A claim must not push out a proven node, however many claims there are.
        elif known is None and len(self._known) >= PEERS_MAX:
            least = min(self._known.values(), key=_worth)
            if least.is_proven and not peer.is_proven:
                return
            self.forget(least.node_id)

        self._known[peer.node_id] = peer
        if known is None:
            self._unproven_since[peer.node_id] = self._env.clock.awake()
        self._write(self._records.put_peer(peer))
        if peer.is_proven and (known is None or not known.is_proven or known.replication != peer.replication):
            self._changed()

    def _check(self, node_id: bytes, replication: str) -> None:
        """Asks whether the node is there."""
        address = address_of(replication)
        if address is None or node_id in self._checking or len(self._checking) >= CHECKS_MAX:
            return
        check = asyncio.ensure_future(self.ask(address, CHECK_SECONDS))
        self._checking[node_id] = check
        check.add_done_callback(lambda _: self._checking.pop(node_id, None))

    def _write(self, job: Awaitable[None]) -> None:
        task = asyncio.ensure_future(self._logged(job))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _logged(self, job: Awaitable[None]) -> None:
        try:
            await job
        except StoreError as error:
            log.warning("state.not_saved", reason=str(error))


def _worth(peer: KnownPeer) -> tuple[int, int, int]:
    """The node with the least is forgotten when there is no room."""
    return peer.is_proven, -peer.away_seconds, peer.seen_us
