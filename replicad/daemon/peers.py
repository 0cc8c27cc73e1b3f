"""The other nodes of the database that this one has met: remembered in its state, asked who they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

import structlog

from replicad.daemon.addresses import Address, parse_address
from replicad.daemon.records import NodeRecords
from replicad.env import Env
from replicad.errors import ConfigError, ReplicadError, StoreError
from replicad.replication.meeting import ask, view_of
from replicad.replication.messages import Standing
from replicad.state import Peer

log = structlog.get_logger("replicad.daemon")

PEERS_MAX = 64
SEEN_AGAIN_US = 60_000_000
"""That a node was seen is written about once a minute."""


class Peers:
    """Belongs to the event loop."""

    def __init__(self, env: Env, records: NodeRecords, me: bytes, introduce: Callable[[], Standing]) -> None:
        """`introduce` gives what the others hear of this node."""
        self._env = env
        self._records = records
        self._me = me
        self._introduce = introduce
        self._known = {peer.node_id: peer for peer in records.state.view().peers}
        self._writes: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    def get(self, node_id: bytes) -> Peer | None:
        return self._known.get(node_id)

    def remember(self, node_id: bytes, replication: str, clients: str) -> None:
        """A node that was met; one that has no address, or is this one, is nobody to ask."""
        if address_of(replication) is None or node_id == self._me:
            return
        now_us = self._env.clock.wall_us()
        known = self._known.get(node_id)
        peer = Peer(node_id=node_id, replication=replication, clients=clients, seen_us=now_us)
        self._known[node_id] = peer
        same = known is not None and (known.replication, known.clients) == (replication, clients)
        if known is not None and same and abs(now_us - known.seen_us) < SEEN_AGAIN_US:
            self._known[node_id] = known
            return
        self._write(self._records.put_peer(peer))
        for other in list(self._known.values()):
            if other.node_id != node_id and other.replication == replication:
                self._forget(other)  # another directory is served there now
        if len(self._known) > PEERS_MAX:
            self._forget(min(self._known.values(), key=lambda peer: peer.seen_us))

    async def ask_all(self, addresses: Iterable[Address], seconds: float) -> list[Standing]:
        """Who answers, each in at most so long."""
        answers = await asyncio.gather(*(self.ask(address, seconds) for address in addresses))
        return [answer for answer in answers if answer is not None]

    async def ask(self, address: Address, seconds: float) -> Standing | None:
        """Who answers there, if it is another node and says what this version knows."""
        try:
            answer = await ask(*address, self._introduce(), seconds=seconds)
            view_of(answer)
        except (OSError, ReplicadError) as error:
            log.debug("peer.silent", address=str(address), reason=str(error))
            return None
        if answer.node == self._me:
            return None
        self.remember(answer.node, answer.replication, answer.clients)
        return answer

    def addresses(self, *, but: Iterable[bytes] = ()) -> set[Address]:
        """Where to find them, those of the given ids left out."""
        left_out = set(but)
        found = {address_of(peer.replication) for id, peer in self._known.items() if id not in left_out}
        return {address for address in found if address is not None}

    async def close(self) -> None:
        await asyncio.gather(*self._writes, return_exceptions=True)

    def _forget(self, peer: Peer) -> None:
        del self._known[peer.node_id]
        self._write(self._records.remove_peer(peer.node_id))

    def _write(self, job: Awaitable[None]) -> None:
        task = asyncio.ensure_future(self._logged(job))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _logged(self, job: Awaitable[None]) -> None:
        try:
            await job
        except StoreError as error:
            log.warning("state.not_saved", reason=str(error))


def address_of(text: str) -> Address | None:
    """An address that a peer told, or None for what is none that may be used."""
    try:
        address = parse_address(text)
    except ConfigError:
        return None
    return address if address.port else None
