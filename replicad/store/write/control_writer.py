"""Writes control operations: column families, marks, and the first frame of an epoch; what each of them does
stands in `control`.

Each is a batch of its own, which takes several steps. So it runs apart, under the write lock.
"""

from __future__ import annotations

from collections.abc import Callable

from replicad import kernels
from replicad.errors import DiskFullError, InvalidArgument
from replicad.store.manifest.families import FAMILY_ID_MAX, NAME_BYTES_MAX
from replicad.store.reading import families_at, no_such_family
from replicad.store.syncer import Syncer
from replicad.store.writable_core import WritableCore
from replicad.store.write.applier import Applier
from replicad.store.write.control import encode_epoch
from replicad.store.write.gate import WriteGate
from replicad.types import DEFAULT_FAMILY, EpochRecord, FamilyId, Sequence


def check_family(core: WritableCore, family: int) -> None:
    known = core.version.families.get(FamilyId(family))
    if known is None or known.dropped is not None:
        raise no_such_family(core.version, family)


def _encoded_name(name: str) -> bytes:
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"the name of a column family is text, not {name!r}") from error
    if not 1 <= len(encoded) <= NAME_BYTES_MAX:
        raise InvalidArgument(
            f"the name of a column family has 1 to {NAME_BYTES_MAX} bytes, not {len(encoded)}"
        )
    return encoded


class ControlWriter:
    def __init__(self, core: WritableCore, syncer: Syncer, gate: WriteGate, applier: Applier) -> None:
        self._core = core
        self._log = core.log
        self._frames = core.log.frames
        self._progress = core.progress
        self._memtables = core.memtables
        self._clock = core.commit_clock
        self._lock = core.write_lock
        self._apart = core.env.runner.apart
        self._syncer = syncer
        self._gate = gate
        self._applier = applier
        self._waits_for_sync = core.options.durability == "sync"

    def create_family(self, name: str) -> FamilyId:
        """Returns when its creation is visible."""
        self._gate.admit()
        id, sequence = self.submit_create_family(name)
        self._wait_visible(sequence)
        return id

    def submit_create_family(self, name: str) -> tuple[FamilyId, int]:
        """(id, sequence number), without waiting for anything."""
        encoded = _encoded_name(name)
        created = self._apart(lambda: self._create_family(name, encoded))
        self._syncer.request()
        return created

    def _create_family(self, name: str, encoded: bytes) -> tuple[FamilyId, int]:
        with self._lock:
            self._gate.raise_unwritable()
            version = self._core.version
            if name in families_at(version, self._progress.appended):
                raise InvalidArgument(f"there is a column family {name!r} already")
            id = version.next_family
            if id > FAMILY_ID_MAX:
                raise InvalidArgument(f"a database has at most {FAMILY_ID_MAX} column families in its life")
            batch = kernels.Batch()
            batch.add_create_family(id, encoded)
            return id, self._write_control(batch)

    def drop_family(self, family: FamilyId) -> int:
        """Returns when it is visible; the files go when its drop is in the manifest."""
        self._gate.admit()
        sequence = self.submit_drop_family(family)
        self._wait_visible(sequence)
        return sequence

    def submit_drop_family(self, family: FamilyId) -> int:
        """The same without waiting for anything."""
        if family == DEFAULT_FAMILY:
            raise InvalidArgument("the default column family cannot be dropped")
        batch = kernels.Batch()
        batch.add_drop_family(family)
        return self._submit_control(batch, lambda: check_family(self._core, family))

    def submit_mark(self, data: bytes) -> int:
        """A batch of one mark; its sequence number, without waiting for anything."""
        batch = kernels.Batch()
        batch.add_mark(data)
        return self._submit_control(batch, lambda: None)

    def _submit_control(self, batch: kernels.Batch, check: Callable[[], None]) -> int:
        def write() -> int:
            with self._lock:
                self._gate.raise_unwritable()
                check()
                return self._write_control(batch)

        sequence = self._apart(write)
        self._syncer.request()
        return sequence

    def _write_control(self, batch: kernels.Batch) -> int:
        """Appends the batch and does what its operations say, before anything may seal the memtables. Apart,
        under the lock."""
        self._applier.settle()
        frames = self._frames
        try:
            now_us = self._clock.now_us(frames.commit_time_us)
            sequence = frames.add_batch(batch, now_us, self._progress.durable)
            data = frames.pending()
            self._log.append_pending()
            frames.commit(self._memtables)
        except BaseException as error:
            self._applier.fail_if_half_done(error)
            raise
        dropped = self._applier.insert_or_fail(data)
        self._applier.after_append(sequence, seal=dropped)
        return sequence

    def begin_epoch(self, record: EpochRecord) -> Sequence:
        """Appends the first frame of an epoch, in a segment of its own; its sequence number.

        DiskFullError leaves everything as it was.
        """
        frames = self._frames
        batch = kernels.Batch()
        batch.add_epoch(encode_epoch(record))
        with self._lock:
            before, commit_time_us = self._log.written, frames.commit_time_us
            self._log.rotate()
            frames.start_epoch(record.epoch)
            try:
                return Sequence(self._write_control(batch))
            except DiskFullError:
                frames.reset(before.epoch, before.sequence, before.history_hash, commit_time_us)
                raise

    def _wait_visible(self, sequence: int) -> None:
        if self._waits_for_sync:
            self._syncer.sync_through(Sequence(sequence))
