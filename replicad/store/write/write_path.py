"""The write path: puts, deletes and batches are admitted, numbered, appended and inserted.

One thread at a time, under the write lock; nothing in it waits for a sync. A batch is in the log before it is
in a memtable, so a refused append leaves no trace.

An exception from outside may come between any two bytecodes. Puts, deletes and batches are therefore one step
of the kernel (`kernels.Appender`). What takes several steps runs apart (`env.apart`): a new segment, what a
failed append left (`applier`), control operations (`control_writer`), frames of another node
(`foreign_frames`). The kernel's step takes nothing while there is something of that kind to do, and the next
writer does what an interrupted one left. Who may write at all is said by the `gate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from replicad import kernels
from replicad.errors import ConditionFailed, InvalidArgument, PoisonedError
from replicad.store.background.lanes import Background
from replicad.store.reading import no_such_family
from replicad.store.syncer import Syncer
from replicad.store.writable_core import WritableCore
from replicad.store.write.applier import Applier
from replicad.store.write.commit import Commit
from replicad.store.write.conditions import Condition, check_conditions
from replicad.store.write.control_writer import ControlWriter, check_family
from replicad.store.write.foreign_frames import ForeignFrames
from replicad.store.write.gate import WriteGate
from replicad.types import Sequence

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
        self._put = self._appender.put

        self.gate = WriteGate(core, self._appender)
        self.applier = Applier(core, syncer, background, self._appender)
        self.control = ControlWriter(core, syncer, self.gate, self.applier)
        self.foreign = ForeignFrames(core, syncer, self.gate, self.applier)

    def put(self, key: bytes, value: bytes, family: int, *, wait: bool = True) -> int:
        """Its sequence number. Blocks through stalls and until it is visible, or with `wait=False` for
        nothing."""
        if self.core.stalled is not None:
            self.gate.admit(wait)

        progress = self._progress
        try:
            done = self._put(key, value, family, progress.durable)
        except OSError as error:
            raise self.applier.settled(error) from error

        # The step was not taken: something has to be done before it, or refused.
        if done is None:
            done = self._retried(
                lambda: check_family(self.core, family),
                lambda: self._put(key, value, family, progress.durable),
            )
        sequence, full = done

        # Under "async" most puts end here: a sync is requested already, and nobody watches.
        if full or self._waits_for_sync or not self.syncer.requested or progress.watched:
            self._written(sequence, full, wait=wait)
        return sequence

    def delete(self, key: bytes, family: int) -> int:
        self.gate.admit()
        sequence, full = self._retried(
            lambda: check_family(self.core, family),
            lambda: self._appender.delete(key, family, self._progress.durable),
        )
        self._written(sequence, full, wait=True)
        return sequence

    def write(self, batch: kernels.Batch, conditions: Iterable[Condition] = ()) -> int:
        """Blocks through stalls and until the batch is visible."""
        self.gate.admit()
        try:
            _, last, full = self._append(batch, tuple(conditions))
        except ConditionFailed as failed:
            # What was found may not be visible yet, and the caller learns it.
            if self._waits_for_sync:
                self.syncer.sync_through(Sequence(failed.sequence))
            raise
        self._written(last, full, wait=True)
        return last

    def submit(self, batch: kernels.Batch, conditions: Iterable[Condition] = ()) -> Commit:
        """Never waits: not for a sync, not for a stall."""
        self.gate.admit(wait=False)
        first, last, full = self._append(batch, tuple(conditions))
        self._written(last, full, wait=False)
        return Commit(self._progress, Sequence(first), Sequence(last))

    def submit_many(self, items: Iterable[Item]) -> int:
        """`submit` of many at once: every batch and every (key, value) in a frame of its own, one write for
        all. All of them are in the log afterwards or, when it raises, none."""
        items = list(items)  # What the caller computes them from may write, too.
        self.gate.admit(wait=False)
        batches = [item for item in items if not isinstance(item, tuple)]
        _, last, full = self._retried(
            lambda: self._check_batches(batches),
            lambda: self._appender.write(items, self._progress.durable),
        )
        self._written(last, full, wait=False)
        return last

    def submit_group(self, group: kernels.WriteGroup) -> int:
        """The same of the batches of a server's clients."""
        self.gate.admit(wait=False)
        last, full = self._retried(
            lambda: self._check_known(group.unknown_family(self._memtables)),
            lambda: self._appender.append_group(group, self._progress.durable),
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
                raise self.applier.settled(error) from error
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
                raise self.applier.settled(error) from error
            if done is not None:
                return done
            self._ready(check)

    def _ready(self, check: Callable[[], object]) -> None:
        """Does what a write has to wait for; raises when it cannot be."""
        self.gate.raise_unwritable()
        check()
        self.judge_clock()
        if self._log.live_file is None or self._appender.failed:
            self._apart(self._make_ready)

    def judge_clock(self) -> None:
        judged = self._clock.look(self._frames.commit_time_us)
        self._appender.believe(judged.from_us, judged.through_us, judged.ahead_us)

    def _make_ready(self) -> None:
        with self._lock:
            self.gate.raise_unwritable()
            self.applier.settle()
            if self._log.live_file is None:
                try:
                    self._log.start_segment()
                except PoisonedError as error:
                    self._progress.fail(error)
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
            if not self.gate.ending:
                self.applier.make_room()

    def _check_batches(self, batches: Iterable[kernels.Batch]) -> None:
        """Refuses a batch of a family that is not there, and one that changes the database itself."""
        for batch in batches:
            self._check_known(self._memtables.unknown_family(batch))
            if batch.has_control:
                raise InvalidArgument(
                    "column families, epochs and marks are made by create_family, drop_family, promote and "
                    "submit_mark only: leave these operations out of the batch"
                )

    def _check_known(self, unknown: int | None) -> None:
        if unknown is not None:
            raise no_such_family(self.core.version, unknown)
