"""The batch that applications fill: what is in it becomes durable and visible as one, or not at all."""

from __future__ import annotations

from collections.abc import Callable

from replicad import kernels
from replicad.types import FamilyId, Operation, OperationKind


class WriteBatch(kernels.Batch):
    """Operations and annotations, in the order put (`proto/batch.md`).

    >>> batch = WriteBatch()
    >>> batch.put(b"k", b"v")
    >>> batch.put_log_data(b"who asked for it")
    >>> batch.count
    1
    """

    def __reduce__(self) -> tuple[Callable[[bytes], WriteBatch], tuple[bytes]]:
        return batch_from, (self.data,)

    @property
    def operations(self) -> list[Operation]:
        """Everything in the batch, annotations included, in the order put."""
        return operations_of(self.data)


def operations_of(body: bytes) -> list[Operation]:
    """The operations of an encoded batch; raises CorruptionError."""
    return [
        Operation(OperationKind(kind), FamilyId(family), key, value)
        for kind, family, key, value in kernels.decode_batch(body)
    ]


def batch_from(body: bytes) -> WriteBatch:
    """A batch with this encoded body; raises CorruptionError."""
    batch = WriteBatch()
    batch.append_data(body)
    return batch
