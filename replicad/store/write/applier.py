"""What follows an append: what is in the log goes into the memtables, and room is made for the next one; what
a failed append left is taken back.

Everything here runs apart and under the write lock, except where a method says otherwise.
"""

from __future__ import annotations

from replicad import kernels
from replicad.errors import PoisonedError, StoreError
from replicad.store.background.lanes import Background, seal_active
from replicad.store.syncer import Syncer
from replicad.store.wal.writer import as_store_error
from replicad.store.writable_core import WritableCore
from replicad.store.write.control import apply_control
from replicad.types import FamilyId, OperationKind


class Applier:
    def __init__(
        self, core: WritableCore, syncer: Syncer, background: Background, appender: kernels.Appender
    ) -> None:
        self._core = core
        self._log = core.log
        self._progress = core.progress
        self._memtables = core.memtables
        self._memtable_bytes = core.options.memtable_bytes
        self._waits_for_sync = core.options.durability == "sync"
        self._syncer = syncer
        self._background = background
        self._appender = appender

    def after_append(self, sequence: int, *, seal: bool = False) -> None:
        self._progress.advance_appended(sequence)
        if not self._waits_for_sync:
            self._syncer.request()
        self.make_room(seal=seal)

    def make_room(self, *, seal: bool = False) -> None:
        if self._log.rotate_when_full():
            self._background.request_retention()
        if seal or self._memtables.memory_bytes >= self._memtable_bytes:
            self.seal()

    def insert_or_fail(self, data: bytes) -> bool:
        """`_insert` of what is in the log already: half of it in the memtables would be another history."""
        try:
            return self._insert(data)
        except BaseException as error:
            self._progress.fail(error)
            raise

    def _insert(self, data: bytes) -> bool:
        """Whether a family with tables was dropped: sealing now lets its files go soon."""
        dropped = False
        offset = 0
        while offset < len(data):
            offset, control = kernels.apply_frames(data, self._memtables, offset)
            for operation in control:
                _, kind, id, _, _ = operation
                family = self._core.version.families.get(FamilyId(id))
                dropped |= kind == OperationKind.DROP_FAMILY and family is not None and any(family.levels)
                apply_control(self._core, operation)
        return dropped

    def fail_if_half_done(self, error: BaseException) -> None:
        """After a failure between the append of a frame and its insertion (no memory): the next one must
        not be written behind it."""
        if isinstance(error, PoisonedError):
            self._progress.fail(error)
        elif self._log.frames.pending_bytes:
            self._progress.fail(PoisonedError(f"a write failed half way: {error}; open the database again"))

    def seal(self) -> None:
        """Starts new memtables; the old ones are flushed in the background."""
        seal_active(self._core)
        self._background.request_flush()

    def settled(self, error: OSError) -> StoreError:
        """What the failure of an append is to its caller, after its traces are gone. Takes the lock."""

        def settle() -> StoreError:
            with self._core.write_lock:
                file = self._log.live_file
                self.settle()
                return as_store_error(error, self._log.catalog.live if file is None else file.path)

        return self._core.env.runner.apart(settle)

    def settle(self) -> None:
        """Cuts back what a failed append left in the file, or stops the store where that cannot be."""
        failed, error, half_inserted = self._appender.take_failure()
        if not failed:
            return
        try:
            if half_inserted:
                raise PoisonedError(f"a batch is in the log and not in memory: {error or 'out of memory'}")
            self._log.cut_back(error)
        except PoisonedError as poisoned:
            self._progress.fail(poisoned)
            raise
