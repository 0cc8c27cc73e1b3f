"""The writer: admits, numbers, appends, inserts.

One thread at a time, under the write lock; nothing in it waits for a sync. A batch is in the log before it is
in a memtable, so a refused append leaves no trace.

An exception from outside may come between any two bytecodes. Puts, deletes and batches are therefore one step
of the kernel (`kernels.Appender`); everything that takes several steps (a new segment, what a failed append
left, control operations, frames of another node) runs apart (`env.apart`). The step takes nothing while there
is something of that kind to do, and the next writer does what an interrupted one left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from replicad import kernels
from replicad.errors import (
    ClosedError,
    ConditionFailed,
    CorruptionError,
    DiskFullError,
    DivergedError,
    GapError,
    InvalidArgument,
    PoisonedError,
    ReadOnlyError,
    StoreError,
)
from replicad.store.background.lanes import Background, seal_active
from replicad.store.core import Role
from replicad.store.manifest.families import FAMILY_ID_MAX, NAME_BYTES_MAX
from replicad.store.reading import families_at, no_such_family
from replicad.store.syncer import Syncer
from replicad.store.wal.writer import as_store_error
from replicad.store.writable_core import WritableCore
from replicad.store.write.admission import check_frames
from replicad.store.write.commit import Commit
from replicad.store.write.conditions import Condition, check_conditions
from replicad.store.write.control import apply_control, encode_epoch
from replicad.types import (
    DEFAULT_FAMILY,
    Epoch,
    EpochRecord,
    FamilyId,
    HistoryHash,
    OperationKind,
    Position,
    Sequence,
)

Done = TypeVar("Done")
Item = kernels.Batch | tuple[bytes, bytes]
"""A batch, or a key and a value of the default family: a frame of its own."""

OPTIMISTIC_TRIES = 3
"""How often conditions are looked at without the lock before writers have to wait for that."""


class WritePath:
    def __init__(self, core: WritableCore, syncer: Syncer, background: Background) -> None:
        self.core = core
        self.syncer = syncer
        self.background = background
        self._frames = core.log.frames
        self._log = core.log
        self._progress = core.progress
        self._memtables = core.memtables
        self._clock = core.commit_clock
        self._lock = core.write_lock

        self._memtable_bytes = core.options.memtable_bytes

        self._changing = False
        self._ending = False

        self._waits_for_sync = core.options.durability == "sync"
        self._apart = core.env.runner.apart

        self._appender = kernels.Appender(
            core.log.frames,
            core.memtables,
            core.write_lock,
            core.log,
            core.progress,
            core.env.clock.wall_ns,
            core.log.segment_bytes,
            core.options.memtable_bytes,
        )

        # A replica takes the frames of its primary only.
        self._appender.takes = core.role == "owner"
        self._put = self._appender.put

    def put(self, key: bytes, value: bytes, family: int, *, wait: bool = True) -> int:
        """Its sequence number. Blocks through stalls and until it is visible, or with `wait=False` for
        nothing."""
        if self.core.stalled is not None:
            self._admit(wait)

        progress = self._progress
        try:
            done = self._put(key, value, family, progress.durable)
        except OSError as error:
            raise self._settled(error) from error

        # The step was not taken: something has to be done before it, or refused.
        if done is None:
            done = self._retried(
                lambda: self._check_family(family),
                lambda: self._put(key, value, family, progress.durable),
            )
        sequence, full = done

        # Under "async" most puts end here: a sync is requested already, and nobody watches.
        if full or self._waits_for_sync or not self.syncer.requested or progress.watched:
            self._written(sequence, full, wait=wait)
        return sequence

    def delete(self, key: bytes, family: int) -> int:
        self._admit()
        sequence, full = self._retried(
            lambda: self._check_family(family),
            lambda: self._appender.delete(key, family, self._progress.durable),
        )
        self._written(sequence, full, wait=True)
        return sequence

    def write(self, batch: kernels.Batch, conditions: Iterable[Condition] = ()) -> int:
        """Blocks through stalls and until the batch is visible."""
        self._admit()
        try:
            _, last, full = self._append(batch, tuple(conditions))
        except ConditionFailed as failed:
            self._wait_visible(failed.sequence)
            raise
        self._written(last, full, wait=True)
        return last

    def submit(self, batch: kernels.Batch, conditions: Iterable[Condition] = ()) -> Commit:
        """Never waits: not for a sync, not for a stall."""
        self._admit(wait=False)
        first, last, full = self._append(batch, tuple(conditions))
        self._written(last, full, wait=False)
        return Commit(self._progress, Sequence(first), Sequence(last))

    def submit_many(self, items: Iterable[Item]) -> int:
        """`submit` of many at once: every batch and every (key, value) in a frame of its own, one write for
        all. All of them are in the log afterwards or, when it raises, none."""
        items = list(items)  # What the caller computes them from may write, too.
        self._admit(wait=False)
        batches = [item for item in items if not isinstance(item, tuple)]
        _, last, full = self._retried(
            lambda: self._check_batches(batches),
            lambda: self._appender.write(items, self._progress.durable),
        )
        self._written(last, full, wait=False)
        return last

    def _append(self, batch: kernels.Batch, conditions: tuple[Condition, ...]) -> tuple[int, int, bool]:
        """(first, last sequence number, whether there is something to make room for)."""
        if not batch.size:
            raise InvalidArgument("the batch is empty")
        items, progress = [batch], self._progress
        if not conditions:
            return self._retried(
                lambda: self._check_batches(items),
                lambda: self._appender.write(items, progress.durable),
            )
        # Conditions are looked at in Python, during which an exception may come, so the lock is not held: the
        # step is not taken when something was written meanwhile.
        for _ in range(OPTIMISTIC_TRIES):
            self._ready(lambda: self._check_batches(items))
            at = progress.appended
            check_conditions(self.core, conditions, at)
            try:
                done = self._appender.write(items, progress.durable, at)
            except OSError as error:
                raise self._settled(error) from error
            if done is not None:
                return done

        def check() -> None:
            check_conditions(self.core, conditions, progress.appended)

        return self._retried(
            lambda: self._check_batches(items),
            lambda: self._apart(lambda: self._appender.write(items, progress.durable, None, check)),
        )

    def _retried(self, check: Callable[[], None], step: Callable[[], Done | None]) -> Done:
        """Takes the step of the kernel, after what has to be done or refused before. `check` raises what is
        wrong with the arguments."""
        while True:
            try:
                done = step()
            except OSError as error:
                raise self._settled(error) from error
            if done is not None:
                return done
            self._ready(check)

    def _ready(self, check: Callable[[], object]) -> None:
        """Does what a write has to wait for; raises when it cannot be."""
        self._raise_unwritable()
        check()
        self.judge_clock()
        if self._log.live_file is None or self._appender.failed:
            self._apart(self._make_ready)

    def judge_clock(self) -> None:
        judged = self._clock.look(self._frames.commit_time_us)
        self._appender.believe(judged.from_us, judged.through_us, judged.ahead_us)

    def _make_ready(self) -> None:
        with self._lock:
            self._raise_unwritable()
            self._settle()
            if self._log.live_file is None:
                try:
                    self._log.start_segment()
                except PoisonedError as error:
                    self._progress.fail(error)
                    raise

    def _settled(self, error: OSError) -> StoreError:
        """What the failure of an append is to its caller, after its traces are gone."""

        def settle() -> StoreError:
            with self._lock:
                file = self._log.live_file
                self._settle()
                return as_store_error(error, self._log.catalog.live if file is None else file.path)

        return self._apart(settle)

    def _settle(self) -> None:
        """Cuts back what a failed append left in the file, or stops the store where that cannot be. Under the
        lock."""
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

    def _written(self, sequence: int, full: bool, *, wait: bool) -> None:
        """What follows a step: all of it is done by a later write when this one is interrupted."""
        progress = self._progress
        if not self._waits_for_sync or not wait:
            self.syncer.request()
        if not progress.visible_when_durable and progress.watched:
            progress.moved()
        if full:
            self._apart(self._room_made)
        if wait and self._waits_for_sync:
            self.syncer.sync_through(Sequence(sequence))

    def _room_made(self) -> None:
        with self._lock:
            if not self._ending:
                self._make_room()

    def apply_frames(self, data: bytes) -> Position:
        """Another node's frames: checked against this history, appended as they are, applied."""
        return self._apart(lambda: self._apply_frames(data))

    def _apply_frames(self, data: bytes) -> Position:
        core = self.core
        with self._lock:
            self._raise_if_ending()
            if core.role != "replica" or self._changing:
                raise ReadOnlyError("only a replica applies the frames of another node")

            # Frames are checked whole before any of them is appended: checksums, and that they continue this
            # very history.
            frames = self._frames
            scan = kernels.scan_frames(
                data, core.database_id, frames.epoch, frames.sequence, frames.history_hash
            )
            if scan.stop != kernels.SCAN_END:
                raise self._why_refused(scan, data)

            if not scan.frames:
                return core.log.written
            if kernels.FrameHeader.decode(data).epoch != scan.epoch:
                raise InvalidArgument("frames of two epochs in one piece")

            # What passes its checksums may still be something that cannot be applied. It must not get into
            # the log.
            families = families_at(core.version, self._progress.appended)
            check_frames(data, core.log.written, families, core.version.next_family)
            after = Position(Epoch(scan.epoch), Sequence(scan.last_sequence), HistoryHash(scan.history_hash))

            try:
                self._log.append_frames(data, after, scan.commit_time_us)
            except PoisonedError as error:
                self._progress.fail(error)
                raise

            dropped = self._insert_or_fail(data)
            self._after_append(scan.last_sequence, seal=dropped)
            self.syncer.request()
            return after

    def create_family(self, name: str) -> FamilyId:
        """Returns when its creation is visible."""
        self._admit()
        id, sequence = self.submit_create_family(name)
        self._wait_visible(sequence)
        return id

    def submit_create_family(self, name: str) -> tuple[FamilyId, int]:
        """(id, sequence number), without waiting for anything."""
        encoded = self._family_name(name)
        created = self._apart(lambda: self._create_family(name, encoded))
        self.syncer.request()
        return created

    def _family_name(self, name: str) -> bytes:
        try:
            encoded = name.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"the name of a column family is text, not {name!r}") from error
        if not 1 <= len(encoded) <= NAME_BYTES_MAX:
            raise InvalidArgument(
                f"the name of a column family has 1 to {NAME_BYTES_MAX} bytes, not {len(encoded)}"
            )
        return encoded

    def _create_family(self, name: str, encoded: bytes) -> tuple[FamilyId, int]:
        with self._lock:
            self._raise_unwritable()
            version = self.core.version
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
        self._admit()
        sequence = self.submit_drop_family(family)
        self._wait_visible(sequence)
        return sequence

    def submit_drop_family(self, family: FamilyId) -> int:
        """The same without waiting for anything."""
        if family == DEFAULT_FAMILY:
            raise InvalidArgument("the default column family cannot be dropped")
        batch = kernels.Batch()
        batch.add_drop_family(family)
        return self._submit_control(batch, lambda: self._check_family(family))

    def submit_mark(self, data: bytes) -> int:
        """A batch of one mark; its sequence number, without waiting for anything."""
        batch = kernels.Batch()
        batch.add_mark(data)
        return self._submit_control(batch, lambda: None)

    def _submit_control(self, batch: kernels.Batch, check: Callable[[], None]) -> int:
        def write() -> int:
            with self._lock:
                self._raise_unwritable()
                check()
                return self._write_control(batch)

        sequence = self._apart(write)
        self.syncer.request()
        return sequence

    def _write_control(self, batch: kernels.Batch) -> int:
        """Appends the batch and does what its operations say, before anything may seal the memtables. Apart,
        under the lock."""
        self._settle()
        frames = self._frames
        try:
            now_us = self._clock.now_us(frames.commit_time_us)
            sequence = frames.add_batch(batch, now_us, self._progress.durable)
            data = frames.pending()
            self._log.append_pending()
            frames.commit(self._memtables)
        except BaseException as error:
            self._fail_if_half_done(error)
            raise
        dropped = self._insert_or_fail(data)
        self._after_append(sequence, seal=dropped)
        return sequence

    # Roles: see `store.roles`, which calls these.

    def begin_change(self) -> Position:
        """Refuses writes and frames alike until `end_change`; the position after the last of them."""
        with self._lock:
            self._raise_if_ending()
            if self._changing:
                raise ReadOnlyError("the role of this database is changing already")
            self._changing = True
            self._appender.takes = False
            return self._log.written

    def end_change(self, role: Role) -> None:
        """Takes what the role takes from now on. Everything written is durable."""
        core, progress = self.core, self._progress
        with self._lock:
            core.role = role
            progress.visible_when_durable = role == "owner" and self._waits_for_sync
            progress.visible = progress.appended
            self._changing = False
            self._appender.takes = role == "owner" and not self._ending
        progress.moved()

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
            self.syncer.sync_through(Sequence(sequence))

    def _check_family(self, family: int) -> None:
        known = self.core.version.families.get(FamilyId(family))
        if known is None or known.dropped is not None:
            raise no_such_family(self.core.version, family)

    def _check_batches(self, batches: Iterable[kernels.Batch]) -> None:
        """Refuses a batch of a family that is not there, and one that changes the database itself."""
        for batch in batches:
            unknown = self._memtables.unknown_family(batch)
            if unknown is not None:
                raise no_such_family(self.core.version, unknown)
            if batch.has_control:
                raise InvalidArgument(
                    "column families, epochs and marks are made by create_family, drop_family, promote and "
                    "submit_mark only: leave these operations out of the batch"
                )

    def seal(self) -> None:
        """Starts new memtables; the old ones are flushed in the background. Under the write lock."""
        seal_active(self.core)
        self.background.request_flush()

    def end(self) -> Sequence:
        """Refuses all writes from now on. Returns the last sequence number that there is."""
        with self._lock:
            self._ending = True
            self._appender.takes = False
            return self._log.written.sequence

    def _admit(self, wait: bool = True) -> None:
        """Waits out a stall, if it may. Raises what is not a stall, but a refusal: DiskFullError or
        CorruptionError."""
        core = self.core
        if core.stalled is None:
            return
        if wait and core.refused is None:
            begin = core.env.clock.monotonic()
            core.counters.stalls += 1
            self._progress.wait(lambda: core.stalled is None or core.refused is not None)
            core.counters.stalled_seconds += core.env.clock.monotonic() - begin
        self._raise_if_refused()

    def _raise_if_refused(self) -> None:
        self._progress.raise_if_ended()
        pressure, damage = self.core.pressure, self.core.damage
        if pressure is None or pressure.refuses is None:
            return
        if pressure.refuses is CorruptionError and damage is not None:
            raise CorruptionError(pressure.reason, path=damage.path, offset=damage.offset)
        raise pressure.refuses(pressure.reason)

    def _after_append(self, sequence: int, *, seal: bool = False) -> None:
        self._progress.advance_appended(sequence)
        if not self._waits_for_sync:
            self.syncer.request()
        self._make_room(seal=seal)

    def _make_room(self, *, seal: bool = False) -> None:
        if self._log.rotate_when_full():
            self.background.request_retention()
        if seal or self._memtables.memory_bytes >= self._memtable_bytes:
            self.seal()

    def _insert_or_fail(self, data: bytes) -> bool:
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
                family = self.core.version.families.get(FamilyId(id))
                dropped |= kind == OperationKind.DROP_FAMILY and family is not None and any(family.levels)
                apply_control(self.core, operation)
        return dropped

    def _fail_if_half_done(self, error: BaseException) -> None:
        """After a failure between the append of a frame and its insertion (no memory): the next one must
        not be written behind it."""
        if isinstance(error, PoisonedError):
            self._progress.fail(error)
        elif self._frames.pending_bytes:
            self._progress.fail(PoisonedError(f"a write failed half way: {error}; open the database again"))

    def _raise_if_ending(self) -> None:
        self._progress.raise_if_ended()
        if self._ending:
            raise ClosedError("the database is closed")

    def _raise_unwritable(self) -> None:
        self._raise_if_ending()
        if self.core.role == "replica" or self._changing:
            raise ReadOnlyError("this database is a replica: only its primary writes to it")
        self._raise_if_refused()

    def _why_refused(self, scan: kernels.FrameScan, data: bytes) -> Exception:
        at = scan.end
        if scan.stop == kernels.SCAN_BAD_CHAIN:
            expected = scan.last_sequence + 1
            got = kernels.FrameHeader.decode(data, at).first_sequence
            if got != expected:
                return GapError(f"a batch begins at {got}, not at {expected}")
            return DivergedError(f"the batch at {got} continues another history: {scan.reason}")
        return CorruptionError(f"frames from another node: {scan.reason or 'cut short'}", offset=at)
