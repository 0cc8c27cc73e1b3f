"""Which operations of the log a feed gives: those of some column families, or of keys with some prefixes.

A name means the family that has it when the feed begins, and each one that gets it later. Operations of a
family that was dropped before the feed began are left out: nothing says what it was called.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from replicad.errors import NotFoundError
from replicad.store.batch import WriteBatch
from replicad.store.updates import Update
from replicad.types import Operation, OperationKind


class FeedFilter:
    def __init__(self, families: Collection[str], prefixes: Iterable[bytes]) -> None:
        self.families = frozenset(families)
        self._prefixes = tuple(prefixes)
        self._ids: set[int] | None = None
        """Of the families that have these names, or had them while the feed was read."""

    @property
    def lets_all_through(self) -> bool:
        return not self.families and not self._prefixes

    def learn(self, families: Mapping[str, int], address: str) -> None:
        """The families of the node. Raises NotFoundError for a name that none has when the feed begins."""
        if self._ids is None:
            missing = sorted(self.families - families.keys())
            if missing:
                raise NotFoundError(f"{address} has no column family {missing[0]}")
            self._ids = set()
        self._ids |= {id for name, id in families.items() if name in self.families}

    def choose(self, update: Update) -> Update | None:
        """The update with the operations that are let through, and its annotations; None without any."""
        if self.lets_all_through:
            return update
        operations = update.batch.operations
        kept = self.keep(operations)
        if not kept:
            return None
        return update if len(kept) == len(operations) else replace(update, batch=_batch_of(kept))

    def keep(self, operations: Sequence[Operation]) -> Sequence[Operation]:
        """Those of a batch that are let through, and its annotations; nothing when no operation is."""
        if self.lets_all_through:
            return operations
        kept = [each for each in operations if each.kind is OperationKind.LOG_DATA or self._wants(each)]
        return [] if all(each.kind is OperationKind.LOG_DATA for each in kept) else kept

    def _wants(self, operation: Operation) -> bool:
        kind, family, key, _ = operation
        match kind:
            case OperationKind.PUT | OperationKind.DELETE:
                of_family = self._ids is None or family in self._ids
                return of_family and (not self._prefixes or key.startswith(self._prefixes))
            case OperationKind.CREATE_FAMILY:
                if self._ids is None:
                    return True
                if key.decode(errors="replace") not in self.families:
                    return False
                self._ids.add(family)
                return True
            case OperationKind.DROP_FAMILY:
                return self._ids is None or family in self._ids
        return False


def _batch_of(operations: Iterable[Operation]) -> WriteBatch:
    batch = WriteBatch()
    for kind, family, key, value in operations:
        match kind:
            case OperationKind.PUT:
                batch.put(key, value or b"", family)
            case OperationKind.DELETE:
                batch.delete(key, family)
            case OperationKind.LOG_DATA:
                batch.put_log_data(value or b"")
            case OperationKind.CREATE_FAMILY:
                batch.add_create_family(family, key)
            case OperationKind.DROP_FAMILY:
                batch.add_drop_family(family)
    return batch
