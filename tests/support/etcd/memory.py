"""An etcd in the test's own process: it answers at once, or not at all, as the test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from replicad.env import Clock
from replicad.errors import EtcdError
from replicad.etcd.calls import Compare, EtcdLease, Operation, Pair, TxnOutcome
from tests.support.etcd.keys import EtcdKeys, RefusedError

T = TypeVar("T")


class MemoryEtcd:
    """Satisfies `Etcd`, for one node. Several of them share the keys."""

    def __init__(self, keys: EtcdKeys, clock: Clock) -> None:
        self.keys, self._clock = keys, clock
        self.is_cut = False
        """Nothing gets there."""
        self.loses_answers = False
        """What it is asked for is done, and the answer is lost."""

    def _call(self, request: Callable[[], T]) -> T:
        if self.is_cut:
            raise EtcdError("it is cut off")
        self.keys.end_leases()
        try:
            result = request()
        except RefusedError as error:
            raise EtcdError(str(error)) from None
        if self.loses_answers:
            raise EtcdError("the answer is lost")
        return result

    async def authenticate(self) -> None:
        """There are no users."""

    async def grant(self, ttl_seconds: int) -> EtcdLease:
        sent_at = self._clock.awake()
        return EtcdLease(self._call(lambda: self.keys.grant(ttl_seconds)), ttl_seconds, sent_at)

    async def keep_alive(self, lease: int) -> EtcdLease:
        sent_at = self._clock.awake()
        return EtcdLease(lease, self._call(lambda: self.keys.keep_alive(lease)), sent_at)

    async def revoke(self, lease: int) -> None:
        self._call(lambda: self.keys.revoke(lease))

    async def range(self, prefix: bytes) -> tuple[Pair, ...]:
        return self._call(lambda: self.keys.range(prefix))

    async def txn(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> TxnOutcome:
        return self._call(lambda: self.keys.txn(compares, then, otherwise))

    async def close(self) -> None:
        """Nothing is open."""
