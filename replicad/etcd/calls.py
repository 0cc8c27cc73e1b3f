"""The six calls that are made to etcd, and what they take and give.

    authenticate   log in, where a user is configured; the others do so by themselves when a token is refused
    grant          a lease: keys that were put with it go when it ends
    keep_alive     the lease lasts for its time again
    revoke         the lease ends now, and its keys go
    range          the pairs whose keys begin so
    txn            if all of these compare equal, do that, else do this; all at once

Reads and transactions are linearizable: they see all that was done before they were asked for.

Only an answer says what happened. `EtcdError` means that it is *unknown*: the request may have been lost, or
its answer, whatever the error says. So a comparison that failed is the one way to learn that something was
lost to another (`TxnOutcome.succeeded` is False).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pair:
    """One key. `revision` is that of its last change, `lease` 0 without one."""

    key: bytes
    value: bytes
    revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class EtcdLease:
    """`ttl_seconds` is 0 when it has ended. It lasts that long from a moment that is not before `sent_at`, at
    which the request that was answered was sent, by `Clock.awake`."""

    id: int
    ttl_seconds: float
    sent_at: float


# What a transaction compares.


@dataclass(frozen=True, slots=True)
class IsAbsent:
    key: bytes


@dataclass(frozen=True, slots=True)
class HasRevision:
    """The key was last changed by that revision: it is what was read, not only equal to it."""

    key: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class HasValue:
    key: bytes
    value: bytes


Compare = IsAbsent | HasRevision | HasValue


# What it does.


@dataclass(frozen=True, slots=True)
class Put:
    key: bytes
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    key: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """All pairs whose keys begin with `prefix`."""

    prefix: bytes


Operation = Put | Delete | Read


@dataclass(frozen=True, slots=True)
class TxnOutcome:
    """`pairs`: what the reads among the operations that were done found, in their order."""

    succeeded: bool
    pairs: tuple[Pair, ...] = ()


class Etcd(Protocol):
    """All methods raise EtcdError, and nothing else; they end within the time that one round of all endpoints
    may take. Each may be cancelled: then its outcome is unknown, too."""

    async def authenticate(self) -> None: ...

    async def grant(self, ttl_seconds: int) -> EtcdLease: ...

    async def keep_alive(self, lease: int) -> EtcdLease: ...

    async def revoke(self, lease: int) -> None:
        """A lease that has ended already is not an error."""
        ...

    async def range(self, prefix: bytes) -> tuple[Pair, ...]:
        """In the order of their keys."""
        ...

    async def txn(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> TxnOutcome: ...

    async def close(self) -> None: ...
