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
from typing import TypeVar

from replicad.env import Clock
from replicad.errors import EtcdError
from replicad.etcd.calls import Compare, EtcdLease, Operation, Pair, TxnOutcome
from tests.sim.loop import VirtualLoop
from tests.sim.network import Network
from tests.support.etcd.keys import EtcdKeys, RefusedError

HOST = "etcd"
LATE_SECONDS_MAX = 0.5
"""How long after its time a lease may still be there."""

T = TypeVar("T")
_OUTSIDE = Context()


class SimEtcd:
    """The servers, as one."""

    def __init__(self, loop: VirtualLoop, network: Network, draw: random.Random) -> None:
        self.is_down = False
        self.delay_seconds_max = 0.01
        self.loss = 0.0
        """How many requests, and how many answers, get lost."""
        self.keys = EtcdKeys(lambda: loop.now, lambda: draw.random() * LATE_SECONDS_MAX)
        self._loop, self._network, self._draw = loop, network, draw

    def send(self, host: str, request: Callable[[], T], answer: Callable[[T | Exception], None]) -> None:
        if self._draw.random() < self.loss or (host, HOST) in self._network.closed:
            return
        self._later(lambda: self._arrive(host, request, answer))

    def _arrive(self, host: str, request: Callable[[], T], answer: Callable[[T | Exception], None]) -> None:
        if self.is_down:
            return
        self.keys.end_leases()
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
        self.keys.prolong_leases()


class SimEtcdClient:
    """Satisfies `Etcd`, for one node."""

    def __init__(self, server: SimEtcd, host: str, clock: Clock, request_seconds: float) -> None:
        self._server, self._host, self._clock = server, host, clock
        self._keys = server.keys
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

    async def grant(self, ttl_seconds: int) -> EtcdLease:
        sent_at = self._clock.awake()
        lease = await self._call(lambda: self._keys.grant(ttl_seconds))
        return EtcdLease(lease, ttl_seconds, sent_at)

    async def keep_alive(self, lease: int) -> EtcdLease:
        sent_at = self._clock.awake()
        return EtcdLease(lease, await self._call(lambda: self._keys.keep_alive(lease)), sent_at)

    async def revoke(self, lease: int) -> None:
        await self._call(lambda: self._keys.revoke(lease))

    async def range(self, prefix: bytes) -> tuple[Pair, ...]:
        return await self._call(lambda: self._keys.range(prefix))

    async def txn(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> TxnOutcome:
        return await self._call(lambda: self._keys.txn(compares, then, otherwise))

    async def close(self) -> None:
        """Nothing is open."""
