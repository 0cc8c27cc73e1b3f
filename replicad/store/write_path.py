"""The writer: admits, numbers, appends, inserts.

One thread at a time, under the write lock; nothing in it waits for a sync. A batch is in the log before it is
in a memtable, so a refused append leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
)
from replicad.store.commit import Commit
from replicad.store.conditions import Condition, check_conditions
from replicad.store.control import apply_control, encode_epoch
from replicad.store.core import Core, Role
from replicad.store.manifest.families import NAME_BYTES_MAX
from replicad.store.reading import families_at, no_such_family
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

FAMILY_ID_MAX = (1 << 32) - 2
"""So that the id after it still fits the format."""


class WritePath:
    def __init__(self, core: Core, sealed: Callable[[], None], rotated: Callable[[], None]) -> None:
        """Called under the write lock: `sealed` when a memtable is full, `rotated` after a segment was."""
        self._core = core
        self._frames = core.log.frames
        self._frames_put = core.log.frames.put
        self._log = core.log
        self._progress = core.progress
        self._memtables = core.memtables
        self._wall_us = core.env.clock.wall_us
        self._wall_ns = core.env.clock.wall_ns
        self._lock = core.write_lock
        self._memtable_bytes = core.options.memtable_bytes
        self._segment_bytes = core.log.segment_bytes
        self._sealed = sealed
        self._rotated = rotated
        self._refuses = core.role == "replica"
        self._changing = False
        self._ending = False
        self._waits_for_sync = core.options.durability == "sync"
        assert core.syncer is not None
        self._syncer = core.syncer

    def put(self, key: bytes, value: bytes, family: int, *, wait: bool = True) -> int:
        """One put, numbered, in the log, in its memtable, and told of; its sequence number.

        Blocks through stalls and until it is visible, or with `wait=False` for nothing.

        A batch takes three calls of the kernel, and this takes one: what runs right after the system's write
        finds cold caches, and a line of Python costs several times there what it does elsewhere.
        """
        core, progress, log = self._core, self._progress, self._log
        if core.stalled is not None and wait:
            self.wait_out_stall()
        with self._lock:
            if progress.ended or self._refuses or core.refused is not None:
                self._raise_unwritable()
            if family:
                self._check_family(family)
            try:
                file = log.live_file or log.start_segment()
                try:
                    sequence, frame_bytes, memory_bytes = self._frames_put(
                        key, value, family, self._wall_ns(), progress.durable, file.write, self._memtables
                    )
                except OSError as error:
                    log.refuse(error)
                file.size = log_bytes = file.size + frame_bytes
                progress.appended = sequence  # What advance_appended does, without the call.
                if not progress.visible_when_durable:
                    progress.visible = sequence
                    if progress.watched:
                        progress.moved()
                if not self._waits_for_sync and not self._syncer.requested:
                    self._syncer.request()
                if log_bytes >= self._segment_bytes or memory_bytes >= self._memtable_bytes:
                    self._make_room()
            except BaseException as error:
                self._fail_if_half_done(error)
                raise
        if self._waits_for_sync:
            if wait:
                self._syncer.sync_through(Sequence(sequence))
            else:
                self._syncer.request()
        return sequence

    def delete(self, key: bytes, family: int) -> int:
        self.wait_out_stall()
        with self._lock:
            self._raise_unwritable()
            if family:
                self._check_family(family)
            try:
                sequence = self._frames.add_delete(key, family, self._wall_us(), self._progress.durable)
                self._write_pending(sequence)
            except BaseException as error:
                self._fail_if_half_done(error)
                raise
        self._wait_visible(sequence)
        return sequence

    def write(self, batch: kernels.Batch, conditions: Iterable[Condition] = ()) -> int:
        """Blocks through stalls and until the batch is visible."""
        self.wait_out_stall()
        try:
            sequence = self._submit(batch, conditions)[1]
        except ConditionFailed as failed:
            self._wait_visible(failed.sequence)
            raise
        self._wait_visible(sequence)
        return sequence

    def submit(self, batch: kernels.Batch, conditions: Iterable[Condition] = ()) -> Commit:
        """Never waits: not for a sync, not for a stall."""
        first, last = self._submit(batch, conditions)
        if self._waits_for_sync:
            self._syncer.request()
        return Commit(self._progress, Sequence(first), Sequence(last))

    def submit_many(self, items: Iterable[kernels.Batch | tuple[bytes, bytes]]) -> int:
        """`submit` of many at once: every batch and every (key, value) in a frame of its own, one write for
        all. All of them are in the log afterwards or, when it raises, none."""
        frames = self._frames
        items = list(items)  # What the caller computes them from may need the lock.
        with self._lock:
            self._raise_unwritable()
            now_us = self._wall_us()
            durable = self._progress.durable
            try:
                for item in items:
                    if isinstance(item, tuple):
                        frames.add_put(item[0], item[1], DEFAULT_FAMILY, now_us, durable)
                    else:
                        self._check_batch(item)
                        frames.add_batch(item, now_us, durable)
            except BaseException:
                frames.rollback()
                raise
            sequence = frames.sequence
            try:
                self._write_pending(sequence)
            except BaseException as error:
                self._fail_if_half_done(error)
                raise
        if self._waits_for_sync:
            self._syncer.request()
        return sequence

    def apply_frames(self, data: bytes) -> Position:
        """Another node's frames: checked against this history, appended as they are, applied."""
        core = self._core
        with self._lock:
            self._raise_if_ending()
            if core.role != "replica" or self._changing:
                raise ReadOnlyError("only a replica applies the frames of another node")
            frames = self._frames
            scan = kernels.scan_frames(
                data, core.database_id, frames.epoch, frames.sequence, frames.history_hash
            )
            if scan.stop != kernels.SCAN_END:
                raise self._why_refused(scan, data)
            if not scan.frames:
                return core.log.written
            if int.from_bytes(data[12:16], "little") != scan.epoch:
                raise InvalidArgument("frames of two epochs in one piece")
            after = Position(Epoch(scan.epoch), Sequence(scan.last_sequence), HistoryHash(scan.history_hash))
            try:
                self._log.append_frames(data, after, scan.commit_time_us)
            except PoisonedError as error:
                self._progress.fail(error)
                raise
            dropped = self._insert_or_fail(data)
            self._after_append(scan.last_sequence, seal=dropped)
            self._syncer.request()
            return after

    def create_family(self, name: str) -> FamilyId:
        """Returns when its creation is visible."""
        self.wait_out_stall()
        id, sequence = self.submit_create_family(name)
        self._wait_visible(sequence)
        return id

    def submit_create_family(self, name: str) -> tuple[FamilyId, int]:
        """(id, sequence number), without waiting for anything."""
        try:
            encoded = name.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"the name of a column family is text, not {name!r}") from error
        if not 1 <= len(encoded) <= NAME_BYTES_MAX:
            raise InvalidArgument(
                f"the name of a column family has 1 to {NAME_BYTES_MAX} bytes, not {len(encoded)}"
            )
        with self._lock:
            self._raise_unwritable()
            version = self._core.version
            if name in families_at(version, self._progress.appended):
                raise InvalidArgument(f"there is a column family {name!r} already")
            id = version.next_family
            if id > FAMILY_ID_MAX:
                raise InvalidArgument(f"a database has at most {FAMILY_ID_MAX} column families in its life")
            batch = kernels.Batch()
            batch.add_create_family(id, encoded)
            sequence = self._write_control(batch)
        if self._waits_for_sync:
            self._syncer.request()
        return id, sequence

    def drop_family(self, family: FamilyId) -> int:
        """Returns when it is visible; the files go when its drop is in the manifest."""
        self.wait_out_stall()
        sequence = self.submit_drop_family(family)
        self._wait_visible(sequence)
        return sequence

    def submit_drop_family(self, family: FamilyId) -> int:
        """The same without waiting for anything."""
        if family == DEFAULT_FAMILY:
            raise InvalidArgument("the default column family cannot be dropped")
        with self._lock:
            self._raise_unwritable()
            self._check_family(family)
            batch = kernels.Batch()
            batch.add_drop_family(family)
            sequence = self._write_control(batch)
        if self._waits_for_sync:
            self._syncer.request()
        return sequence

    def submit_mark(self, data: bytes) -> int:
        """A batch of one mark; its sequence number, without waiting for anything."""
        batch = kernels.Batch()
        batch.add_mark(data)
        with self._lock:
            self._raise_unwritable()
            sequence = self._write_control(batch)
        if self._waits_for_sync:
            self._syncer.request()
        return sequence

    def _write_control(self, batch: kernels.Batch) -> int:
        """Appends the batch and does what its operations say, before anything may seal the memtables."""
        frames = self._frames
        try:
            sequence = frames.add_batch(batch, self._wall_us(), self._progress.durable)
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
            self._changing = self._refuses = True
            return self._log.written

    def end_change(self, role: Role) -> None:
        """Takes what the role takes from now on. Everything written is durable."""
        core, progress = self._core, self._progress
        with self._lock:
            core.role = role
            with progress.changed:
                progress.visible_when_durable = role == "owner" and self._waits_for_sync
                progress.visible = progress.appended
            self._refuses = role == "replica"
            self._changing = False
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
            self._syncer.sync_through(Sequence(sequence))

    def _check_family(self, family: int) -> None:
        known = self._core.version.families.get(FamilyId(family))
        if known is None or known.dropped is not None:
            raise no_such_family(self._core.version, family)

    def _check_batch(self, batch: kernels.Batch) -> None:
        """Refuses a batch of a family that is not there, and one that changes the database itself."""
        unknown = self._memtables.unknown_family(batch)
        if unknown is not None:
            raise no_such_family(self._core.version, unknown)
        if batch.has_control:
            raise InvalidArgument(
                "column families, epochs and marks are made by create_family, drop_family, promote and "
                "submit_mark only: leave these operations out of the batch"
            )

    def seal(self) -> None:
        """Starts a new memtable. Under the write lock."""
        self._sealed()

    def end(self) -> Sequence:
        """Refuses all writes from now on. Returns the last sequence number that there is."""
        with self._lock:
            self._ending = self._refuses = True
            return self._log.written.sequence

    def wait_out_stall(self) -> None:
        """Raises when it is no stall, but a refusal: DiskFullError or CorruptionError."""
        core = self._core
        if core.stalled is None:
            return
        if core.refused is None:
            begin = core.env.clock.monotonic()
            core.counters.stalls += 1
            self._progress.wait(lambda: core.stalled is None or core.refused is not None)
            core.counters.stalled_seconds += core.env.clock.monotonic() - begin
        self._raise_if_refused()

    def _raise_if_refused(self) -> None:
        pressure, damage = self._core.pressure, self._core.damage
        if pressure is None or pressure.refuses is None:
            return
        if pressure.refuses is CorruptionError and damage is not None:
            raise CorruptionError(pressure.reason, path=damage.path, offset=damage.offset)
        raise pressure.refuses(pressure.reason)

    def _submit(self, batch: kernels.Batch, conditions: Iterable[Condition]) -> tuple[int, int]:
        if not batch.size:
            raise InvalidArgument("the batch is empty")
        conditions = tuple(conditions)  # As in `submit_many`.
        with self._lock:
            self._raise_unwritable()
            check_conditions(self._core, conditions)
            self._check_batch(batch)
            first = self._frames.sequence + 1
            try:
                sequence = self._frames.add_batch(batch, self._wall_us(), self._progress.durable)
                self._write_pending(sequence)
            except BaseException as error:
                self._fail_if_half_done(error)
                raise
        return first, sequence

    def _write_pending(self, sequence: int) -> None:
        full = self._log.append_pending()
        memory_bytes = self._frames.commit(self._memtables)
        self._progress.advance_appended(sequence)
        if not self._waits_for_sync and not self._syncer.requested:
            self._syncer.request()
        if full or memory_bytes >= self._memtable_bytes:
            self._make_room()

    def _after_append(self, sequence: int, *, seal: bool = False) -> None:
        self._progress.advance_appended(sequence)
        if not self._waits_for_sync and not self._syncer.requested:
            self._syncer.request()
        self._make_room(seal=seal)

    def _make_room(self, *, seal: bool = False) -> None:
        if self._log.rotate_when_full():
            self._rotated()
        if seal or self._memtables.memory_bytes >= self._memtable_bytes:
            self._sealed()

    def _insert_or_fail(self, data: bytes) -> bool:
        """`_insert` of what is in the log already: half of it in the memtables would be another history."""
        try:
            return self._insert(data)
        except BaseException as error:
            self._progress.fail(error)
            raise

    def _insert(self, data: bytes) -> bool:
        """Whether a family was dropped: sealing now lets its files go soon."""
        dropped = False
        offset = 0
        while offset < len(data):
            offset, control = kernels.apply_frames(data, self._memtables, offset)
            for operation in control:
                apply_control(self._core, operation)
                dropped |= operation[1] == OperationKind.DROP_FAMILY
        return dropped

    def _fail_if_half_done(self, error: BaseException) -> None:
        """After a failed append, or an interrupt between numbering a frame and inserting it: how much of it
        was written is unknown, and the next one must not be written behind it."""
        if isinstance(error, PoisonedError):
            self._progress.fail(error)
        elif self._frames.pending_bytes:
            self._progress.fail(PoisonedError("a write was interrupted; open the database again"))

    def _raise_if_ending(self) -> None:
        self._progress.raise_if_ended()
        if self._ending:
            raise ClosedError("the database is closed")

    def _raise_unwritable(self) -> None:
        self._raise_if_ending()
        if self._core.role == "replica" or self._changing:
            raise ReadOnlyError("this database is a replica: only its primary writes to it")
        self._raise_if_refused()

    def _why_refused(self, scan: kernels.FrameScan, data: bytes) -> Exception:
        at = scan.end
        if scan.stop == kernels.SCAN_BAD_CHAIN:
            expected = scan.last_sequence + 1
            got = int.from_bytes(data[at + 24 : at + 32], "little")
            if got != expected:
                return GapError(f"a batch begins at {got}, not at {expected}")
            return DivergedError(f"the batch at {got} continues another history: {scan.reason}")
        return CorruptionError(f"frames from another node: {scan.reason or 'cut short'}", offset=at)
