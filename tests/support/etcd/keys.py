"""What an etcd holds, in memory: keys, revisions, leases, transactions. It has neither network nor clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from replicad.etcd.calls import (
    Compare,
    Delete,
    HasRevision,
    HasValue,
    IsAbsent,
    Operation,
    Pair,
    Put,
    Read,
    TxnOutcome,
)


class RefusedError(Exception):
    """etcd answers with an error."""


@dataclass(slots=True)
class _Lease:
    ttl_seconds: float
    ends_at: float


class EtcdKeys:
    def __init__(self, now: Callable[[], float], late: Callable[[], float] = lambda: 0.0) -> None:
        """`late`: for how many seconds after its time a lease is still there."""
        self.pairs: dict[bytes, Pair] = {}
        self._now, self._late = now, late
        self._revision = 0
        self._leases: dict[int, _Lease] = {}
        self._next_lease = 1

    def grant(self, ttl_seconds: float) -> int:
        lease, self._next_lease = self._next_lease, self._next_lease + 1
        self._leases[lease] = _Lease(ttl_seconds, self._ends_at(ttl_seconds))
        return lease

    def keep_alive(self, lease: int) -> float:
        """For how long it lasts; 0 if it has ended."""
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
    ) -> TxnOutcome:
        succeeded = all(map(self._holds, compares))
        operations = then if succeeded else otherwise
        changed = [each.key for each in operations if isinstance(each, Put | Delete)]
        if len(set(changed)) != len(changed):
            raise RefusedError("duplicate key given in txn request")
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
        return TxnOutcome(succeeded, tuple(found))

    def end_leases(self) -> None:
        """Of those whose time is over, and what was put with them."""
        for lease in [id for id, lease in self._leases.items() if lease.ends_at <= self._now()]:
            self.revoke(lease)

    def forget(self) -> None:
        """All data is lost; no lease of before is there."""
        self.pairs.clear()
        self._leases.clear()
        self._revision += 1

    def prolong_leases(self) -> None:
        """As a new leader of an etcd does: all last for their time again."""
        for lease in self._leases.values():
            lease.ends_at = max(lease.ends_at, self._ends_at(lease.ttl_seconds))

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
        return self._now() + ttl_seconds + self._late()
