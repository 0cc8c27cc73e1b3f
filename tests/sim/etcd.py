"""etcd in virtual time: one store of keys that never forgets, and a way there that does.

    a request ──> lost, or late ──> executed ──> its answer is lost, or late ──> too late: unknown

A request that its sender has given up may still arrive, and is executed then. Leases end some time after
their time, never before; a restart prolongs them, as a new leader of a real etcd does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import TypeVar

from replicad.env import Clock
from replicad.errors import EtcdError
from replicad.etcd.calls import (
    Compare,
    Delete,
    HasRevision,
    HasValue,
    IsAbsent,
    Lease,
    Operation,
    Outcome,
    Pair,
    Put,
    Read,
)
from tests.sim.loop import VirtualLoop
from tests.sim.network import Network

HOST = "etcd"
LATE_SECONDS_MAX = 0.5
"""How long after its time a lease may still be there."""

T = TypeVar("T")
_OUTSIDE = Context()


class RefusedError(Exception):
    """etcd answers with an error."""


@dataclass(slots=True)
class _Lease:
    ttl_seconds: float
    ends_at: float


class SimEtcd:
    """The servers, as one."""

    def __init__(self, loop: VirtualLoop, network: Network, draw: random.Random) -> None:
        self.is_down = False
        self.delay_seconds_max = 0.01
        self.loss = 0.0
        """How many requests, and how many answers, get lost."""
        self.pairs: dict[bytes, Pair] = {}
        self._revision = 0
        self._leases: dict[int, _Lease] = {}
        self._next_lease = 1
        self._loop, self._network, self._draw = loop, network, draw

    # How a request gets here, and its answer back.

    def send(self, host: str, request: Callable[[], T], answer: Callable[[T | Exception], None]) -> None:
        if self._draw.random() < self.loss or (host, HOST) in self._network.closed:
            return
        self._later(lambda: self._arrive(host, request, answer))

    def _arrive(self, host: str, request: Callable[[], T], answer: Callable[[T | Exception], None]) -> None:
        if self.is_down:
            return
        self._end_leases()
        result: T | Exception
        try:
            result = request()
        except RefusedError as error:
            result = error
        if self._draw.random() < self.loss or (HOST, host) in self._network.closed:
            return
        self._later(lambda: answer(result))

    def _later(self, job: Callable[[], None]) -> None:
        delay = self._draw.random() ** 3 * self.delay_seconds_max
        asyncio.BaseEventLoop.call_at(self._loop, self._loop.now + delay, job, context=_OUTSIDE)

    def restart(self) -> None:
        self.is_down = False
        for lease in self._leases.values():
            lease.ends_at = max(lease.ends_at, self._ends_at(lease.ttl_seconds))

    # What it does.

    def grant(self, ttl_seconds: float) -> int:
        lease, self._next_lease = self._next_lease, self._next_lease + 1
        self._leases[lease] = _Lease(ttl_seconds, self._ends_at(ttl_seconds))
        return lease

    def keep_alive(self, lease: int) -> float:
        found = self._leases.get(lease)
        if found is None:
            return 0.0
        found.ends_at = self._ends_at(found.ttl_seconds)
        return found.ttl_seconds

    def revoke(self, lease: int) -> None:
        if self._leases.pop(lease, None) is not None:
            self._revision += 1
            self.pairs = {key: pair for key, pair in self.pairs.items() if pair.lease != lease}

    def range(self, prefix: bytes) -> tuple[Pair, ...]:
        return tuple(self.pairs[key] for key in sorted(self.pairs) if key.startswith(prefix))

    def txn(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation]
    ) -> Outcome:
        succeeded = all(map(self._holds, compares))
        operations = then if succeeded else otherwise
        leases = {each.lease for each in operations if isinstance(each, Put) and each.lease}
        if not leases <= self._leases.keys():
            raise RefusedError("requested lease not found")
        self._revision += 1
        found: list[Pair] = []
        for each in operations:
            match each:
                case Put(key, value, lease):
                    self.pairs[key] = Pair(key, value, self._revision, lease)
                case Delete(key):
                    self.pairs.pop(key, None)
                case Read(prefix):
                    found += self.range(prefix)
        return Outcome(succeeded, tuple(found))

    def _holds(self, compare: Compare) -> bool:
        pair = self.pairs.get(compare.key)
        match compare:
            case IsAbsent():
                return pair is None
            case HasRevision(_, revision):
                return pair is not None and pair.revision == revision
            case HasValue(_, value):
                return pair is not None and pair.value == value

    def _ends_at(self, ttl_seconds: float) -> float:
        return self._loop.now + ttl_seconds + self._draw.random() * LATE_SECONDS_MAX

    def _end_leases(self) -> None:
        for lease in [id for id, lease in self._leases.items() if lease.ends_at <= self._loop.now]:
            self.revoke(lease)


class SimEtcdClient:
    """Satisfies `Etcd`, for one node."""

    def __init__(self, server: SimEtcd, host: str, clock: Clock, request_seconds: float) -> None:
        self._server, self._host, self._clock = server, host, clock
        self._request_seconds = request_seconds

    async def _call(self, request: Callable[[], T]) -> T:
        future: asyncio.Future[T | Exception] = asyncio.get_running_loop().create_future()

        def answer(result: T | Exception) -> None:
            if not future.done():
                future.set_result(result)

        self._server.send(self._host, request, answer)
        try:
            async with asyncio.timeout(self._request_seconds):
                result = await future
        except TimeoutError:
            raise EtcdError("no answer in time") from None
        if isinstance(result, Exception):
            raise EtcdError(str(result))
        return result

    async def authenticate(self) -> None:
        """There are no users."""

    async def grant(self, ttl_seconds: int) -> Lease:
        sent_at = self._clock.awake()
        lease = await self._call(lambda: self._server.grant(ttl_seconds))
        return Lease(lease, ttl_seconds, sent_at)

    async def keep_alive(self, lease: int) -> Lease:
        sent_at = self._clock.awake()
        return Lease(lease, await self._call(lambda: self._server.keep_alive(lease)), sent_at)

    async def revoke(self, lease: int) -> None:
        await self._call(lambda: self._server.revoke(lease))

    async def range(self, prefix: bytes) -> tuple[Pair, ...]:
        return await self._call(lambda: self._server.range(prefix))

    async def txn(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Outcome:
        return await self._call(lambda: self._server.txn(compares, then, otherwise))

    async def close(self) -> None:
        """Nothing is open."""
