"""Who waits for acknowledgements of replicas: clients that ask, and all writes under a `synchronous` rule.

A wait is told what is true when it ends: which replicas hold the sequence number at the level asked for.
Owned by the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from replicad.replication.policy.synchronous import Level, Rule, WaitedReplica, satisfied_through
from replicad.replication.wire.messages import Ack

Acknowledged = tuple[str, str, Ack]
"""(name, node id, what it acknowledged last) of a connected replica."""

EVERYTHING = (1 << 64) - 1


class Waits:
    def __init__(
        self,
        replicas: Callable[[], list[Acknowledged]],
        ask: Callable[[int], None],
        *,
        rule: Rule | None = None,
        level: Level = Level.DURABLE,
        timeout_seconds: float = 10.0,
    ) -> None:
        """`ask` makes replicas acknowledge at once what they have up to a sequence number."""
        self._replicas = replicas
        self._ask = ask
        self._configured = rule
        self._counted: tuple[int, frozenset[str]] | None = None
        """How many of which replicas, by id, where a failover counts them instead."""
        self.level = level
        self.timeout_seconds = timeout_seconds
        self._satisfied = 0
        self._waiters: dict[asyncio.Future[None], None] = {}
        """In the order in which they came."""
        self._listeners: list[Callable[[], None]] = []

    def reconfigure(self, rule: Rule | None, level: Level, timeout_seconds: float) -> None:
        """Writes that wait now go by the new rule. What was satisfied stays so: it was true when it was
        said."""
        self._configured, self.level, self.timeout_seconds = rule, level, timeout_seconds
        self._rule_changed()

    def count_by(self, count: int, replicas: frozenset[str]) -> None:
        """From now on a failover says how many replicas a write waits for, and which of them count, by id.
        The configured rule says which come first, and what they are called."""
        if self._counted != (count, replicas):
            self._counted = (count, replicas)
            self._rule_changed()

    def _rule_changed(self) -> None:
        if self.rule is not None:
            # Replicas collect acknowledgements while nobody waits for them.
            self._ask(EVERYTHING)
        self.changed()

    @property
    def configured(self) -> Rule | None:
        return self._configured

    @property
    def rule(self) -> Rule | None:
        """What all writes wait for."""
        if self._counted is None:
            return self._configured
        count = self._counted[0]
        if count == 0:
            return None
        return Rule("any", count) if self._configured is None else replace(self._configured, count=count)

    def changed(self) -> None:
        """An acknowledgement came, or a replica came or went."""
        if self.rule is not None:
            # Never back: it was true when it was said.
            self._satisfied = max(self._satisfied, satisfied_through(self.rule, self._peers(self.level)))
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        for listener in self._listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls back after `released` may have moved; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def asked_through(self) -> int:
        """What a replica that connects now is asked to acknowledge at once."""
        return 0 if self.rule is None else EVERYTHING

    def released(self, visible: int) -> int:
        """The newest sequence number whose writes may be answered."""
        return visible if self.rule is None else min(visible, self._satisfied)

    def describe(self) -> str:
        """Which replicas all writes wait for, at which level; "" for none."""
        return "" if self.rule is None else f"{self.rule} {self.level.value}"

    def lacking(self, sequence: int) -> str:
        """Which replicas hold it and what was asked for, in words."""
        holders = ", ".join(self.holders(self.level.value, sequence)) or "none"
        return f"{self.describe()!r} was asked for, {self.level.value} on {holders}"

    def held_by(self, count: int, replicas: frozenset[str]) -> int:
        """The newest sequence number that this many of these replicas hold durably; 0 if there is none."""
        peers = [peer for peer in self._peers(Level.DURABLE, counted=False) if peer.node_id in replicas]
        return satisfied_through(Rule("any", count), peers)

    def holders(self, level: str, sequence: int) -> list[str]:
        """The connected replicas that have it, by name."""
        peers = self._peers(Level(level), counted=False)
        return sorted(peer.called for peer in peers if peer.sequence >= sequence)

    async def wait(self, level: str, count: int, sequence: int, timeout_seconds: float | None) -> list[str]:
        """Waits until `count` replicas have it, or the time is over; returns those that have it then."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while len(self.holders(level, sequence)) < count:
                    self._ask(sequence)
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters[waiter] = None
                    try:
                        await waiter
                    finally:
                        del self._waiters[waiter]
        except TimeoutError:
            pass
        return self.holders(level, sequence)

    def _peers(self, level: Level, *, counted: bool = True) -> list[WaitedReplica]:
        """`counted`: only those that count for the rule."""
        only = None if self._counted is None or not counted else self._counted[1]
        return [
            WaitedReplica(name, node_id, getattr(ack, level.value))
            for name, node_id, ack in self._replicas()
            if only is None or node_id in only
        ]
