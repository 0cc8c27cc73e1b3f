"""A leader that etcd does not answer: it goes on while *every* member says that it follows.

A majority would not do: the member that is missing may have claimed the leadership, and nobody else need
know. A node that is not in `failsafe` is never promoted, so no other has to be asked. Belongs to the event
loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from replicad.daemon.failover.asking import ask_each
from replicad.daemon.open_store import OpenStore
from replicad.daemon.roles.leadership import Leadership
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.net.addresses import Address
from replicad.net.doors import Door
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.messages import Failsafe, Follows, Message

log = get_logger("replicad.daemon")


class FailsafeWatch:
    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        *,
        ttl_seconds: float,
        keepalive_seconds: float,
        ask_seconds: float,
        leadership: Leadership,
        store: OpenStore,
        door: Door,
        address_of: Callable[[str], Address | None],
    ) -> None:
        """`address_of`: where the node of an id was last known to be."""
        self._identity = identity
        self._clock = clock
        self._ttl_seconds = ttl_seconds
        self._keepalive_seconds = keepalive_seconds
        self._ask_seconds = ask_seconds
        self._leadership = leadership
        self._store = store
        self._door = door
        self._address_of = address_of
        self._seen: frozenset[str] | None = None
        self._attempted: dict[str, int] = {}
        """Who may be in `failsafe` besides, and of which attempt the newest was that says so."""
        self._attempts = 0
        self.missing: str | None = None
        """Why the members do not vouch for this node, when they were asked last."""

    @property
    def members(self) -> frozenset[str] | None:
        """Everybody who may be in `failsafe`. None: this node has not read it."""
        return None if self._seen is None else self._seen | self._attempted.keys()

    def seen(self, members: frozenset[str] | None) -> None:
        """What etcd says is in `failsafe`."""
        self._seen = members
        for member in members or ():
            self._attempted.pop(member, None)

    def attempted(self, members: frozenset[str]) -> int:
        """These are about to be written, by the attempt of that number. Whether that was done may be unknown
        for long: a request that was given up may still arrive. So each is asked until it was seen."""
        self._attempts += 1
        self._attempted |= dict.fromkeys(members, self._attempts)
        self._seen = self._seen or frozenset()
        return self._attempts

    def removed(self, node: str, attempt: int) -> None:
        """That attempt has removed it, and whatever was sent before can write it no more."""
        if self._attempted.get(node) == attempt:
            del self._attempted[node]

    async def run(self) -> None:
        """Never returns: asks once etcd has not prolonged the lease for longer than usual."""
        while True:
            await asyncio.sleep(self._keepalive_seconds / 2)
            right = self._leadership.right
            since = self._clock.awake() - max(right.kept_at, right.vouched_at)
            if right.leads and right.is_stated and since > 1.5 * self._keepalive_seconds:
                await self.ask()

    async def ask(self) -> None:
        """Asks all members once."""
        store = self._store.database
        members = self.members
        if store is None or members is None:
            return
        me, epoch = self._identity.node, store.durable_position.epoch
        others = members - {me.hex()}
        where = {node: self._address_of(node) for node in others}

        # The time before the first question is sent: every answer holds from a later one on.
        asked_at = self._clock.awake()
        question = Failsafe(me, store.database_id, epoch, round(self._ttl_seconds * 1000))
        known = {node: address for node, address in where.items() if address is not None}
        answers = await ask_each(known, question, seconds=self._ask_seconds, door=self._door)

        missing = why_not_all(others, answers, epoch)
        if missing != self.missing:
            if missing is None:
                log.info("failover.failsafe", missing=None)
            else:
                log.warning("failover.failsafe", missing=missing)
        self.missing = missing
        if missing is None:
            self._leadership.vouched(asked_at)


def why_not_all(members: frozenset[str], answers: Mapping[str, Message | str], epoch: int) -> str | None:
    """Which member does not say that it follows this node in that epoch; None when all do."""
    for node in sorted(members):
        answer = answers.get(node, "nobody knows where it is")
        if not isinstance(answer, Follows):
            return f"{node[:8]}: {answer if isinstance(answer, str) else type(answer).__name__}"
        if (answer.node.hex(), answer.epoch) != (node, epoch):
            return f"{node[:8]}: {answer.node.hex()[:8]} answers for epoch {answer.epoch}"
    return None
