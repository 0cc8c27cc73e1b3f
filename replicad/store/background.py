"""Flush and compaction: each on a lane of its own, each publishing a version when its tables are durable.

A full disk is waited out: the job tries again every second, and writers meet the stall or the full disk
themselves. Any other failure poisons the store.
"""

from __future__ import annotations

import errno
import threading

from replicad import kernels
from replicad.env import Lane
from replicad.store.compaction.merge import Merge, MergeOrder, MergeStopped
from replicad.store.compaction.picker import LEVELS, Choice, choose, choose_in
from replicad.store.core import Core
from replicad.store.manifest.edit import Edit
from replicad.store.table.file import OpenTable, open_table
from replicad.store.table.meta import TableMeta
from replicad.store.version import SealedMemtable, at_level
from replicad.store.wal.retention import RetentionRules, SegmentFacts
from replicad.store.wal.retention import choose as choose_segments
from replicad.types import DEFAULT_FAMILY, FileNumber, Sequence

RETRY_SECONDS = 1.0


class Background:
    def __init__(self, core: Core, flush_lane: Lane, compaction_lane: Lane) -> None:
        self._core = core
        self._flush_lane = flush_lane
        self._compaction_lane = compaction_lane
        self._stopping = threading.Event()
        self._last_compacted: dict[int, bytes] = {}
        self._merging = threading.Lock()
        """Held by whoever compacts: the lane, or a caller of `compact`."""

    def request_flush(self) -> None:
        self._flush_lane.submit(lambda: self._guard(self._flush_all))

    def request_retention(self) -> None:
        self._flush_lane.submit(lambda: self._guard(lambda: apply_retention(self._core)))

    def request_compaction(self) -> None:
        self._compaction_lane.submit(lambda: self._guard(self._compact_all))

    def stop(self) -> None:
        self._stopping.set()
        self._flush_lane.close()
        self._compaction_lane.close()

    def compact_everything(self) -> None:
        """Merges level after level downwards until one level holds all; on the caller's thread."""
        with self._merging:
            for level in range(LEVELS - 1):
                while not self._stopping.is_set():
                    metas = self._core.version.metas()
                    deeper = any(metas[level + 1 :])
                    if not metas[level] or (level > 0 and not deeper):
                        break
                    self._compact(choose_in(metas, level, {}))

    def _guard(self, job: object) -> None:
        assert callable(job)
        while not self._stopping.is_set() and self._core.progress.failure is None:
            try:
                job()
                return
            except MergeStopped:
                return
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self._core.progress.failure is not None:
                    self._core.progress.fail(error)
                    return
                self._core.stalled = f"the disk is full: {error}"
                self._stopping.wait(RETRY_SECONDS)
            except Exception as error:
                self._core.progress.fail(error)
                return

    def _flush_all(self) -> None:
        core = self._core
        while core.version.sealed and not self._stopping.is_set():
            flush_oldest(core, self._stopping.is_set)
            self.request_compaction()
        apply_retention(core)

    def _compact_all(self) -> None:
        while not self._stopping.is_set():
            with self._merging:
                choice = choose(self._core.version.metas(), self._core.shape, self._last_compacted)
                if choice is None:
                    return
                self._last_compacted[choice.level] = max(table.largest for table in choice.inputs)
                self._compact(choice)

    def _compact(self, choice: Choice) -> None:
        core = self._core
        if choice.is_move:
            self._move(choice)
            return
        dropped = [*choice.inputs, *choice.below]
        by_number = {table.meta.number: table for table in core.version.tables()}
        merge = new_merge(core, choice.output_level, choice.bottom, self._stopping.is_set)
        if choice.level == 0:
            for meta in choice.inputs:
                merge.add_run([by_number[meta.number]])
        else:
            merge.add_run([by_number[meta.number] for meta in choice.inputs])
        merge.add_run([by_number[meta.number] for meta in choice.below])
        made = merge.run()
        publish_compaction(
            core, dropped, [open_table(core.env.fs, core.path, meta, core.cache) for meta in made]
        )
        core.remove_tables(dropped)

    def _move(self, choice: Choice) -> None:
        (meta,) = choice.inputs
        (table,) = (table for table in self._core.version.tables() if table.meta.number == meta.number)
        publish_compaction(self._core, [meta], [at_level(table, choice.output_level)])


def new_merge(core: Core, level: int, bottom: bool, stop: object) -> Merge:
    assert callable(stop)
    options = core.options
    order = MergeOrder(
        family=DEFAULT_FAMILY,
        level=level,
        snapshots=core.snapshots.sequences(),
        bottom=bottom,
        block_bytes=options.block_bytes,
        bits_per_key=options.bloom_bits_per_key,
        table_bytes=options.table_bytes,
        compress=options.compression == "lz4",
    )
    return Merge(core.env, core.path, order, core.numbers.take, stop)


def flush_oldest(core: Core, stop: object) -> None:
    """Turns the oldest sealed memtable into tables of level 0, and releases its log."""
    sealed = core.version.sealed[-1]
    if core.syncer is not None:
        core.syncer.sync_through(sealed.position.sequence)
    made = _write_tables(core, sealed, stop)
    core.record(
        Edit(
            add=tuple(made),
            next_file=core.numbers.next,
            flushed=sealed.position,
            commit_time_us=sealed.commit_time_us,
        )
    )
    opened = [open_table(core.env.fs, core.path, meta, core.cache) for meta in made]
    core.swap_version(lambda version: version.flushing(sealed, opened))
    core.counters.flushes += 1
    core.counters.flushed_bytes += sum(meta.size_bytes for meta in made)


def _write_tables(core: Core, sealed: SealedMemtable, stop: object) -> list[TableMeta]:
    if sealed.memtable.entries == 0:
        return []
    merge = new_merge(core, 0, bottom=False, stop=stop)
    merge.add_memtable(sealed.memtable)
    return merge.run()


def publish_compaction(core: Core, dropped: list[TableMeta], added: list[OpenTable]) -> None:
    numbers = {meta.number for meta in dropped}
    core.record(
        Edit(
            add=tuple(table.meta for table in added),
            drop=tuple(FileNumber(number) for number in sorted(numbers)),
            next_file=core.numbers.next,
        )
    )
    core.swap_version(lambda version: version.compacting(numbers, added))
    core.counters.compactions += 1
    core.counters.compaction_bytes_read += sum(meta.size_bytes for meta in dropped)
    core.counters.compaction_bytes_written += sum(table.meta.size_bytes for table in added)
    core.leases.expire()


def apply_retention(core: Core) -> None:
    """Ends leases that are over; archives what recovery no longer needs, and deletes what nobody needs."""
    core.leases.expire()
    with core.deletions.allowed() as allowed:
        if allowed:
            _apply_retention(core)


def _apply_retention(core: Core) -> None:
    now = core.env.clock.monotonic()
    segments = core.catalog.segments()
    facts = [
        SegmentFacts(
            segment.last_sequence,
            segment.size_bytes,
            segment.archived,
            0.0 if segment.archived_at is None else now - segment.archived_at,
            segment.sealed,
        )
        for segment in segments
    ]
    with core.version_lock:
        pinned = min(core.log_pins, default=None)
        flushed = core.version.flushed.sequence
    held = core.holds.oldest_needed() if core.holds is not None else None
    held_from = min((sequence for sequence in (pinned, held) if sequence is not None), default=None)
    rules = RetentionRules(
        flushed if pinned is None else Sequence(min(flushed, pinned - 1)),
        None if held_from is None else Sequence(held_from),
        core.options.log_retention_bytes,
        core.options.log_retention_seconds,
        max(0, core.options.log_disk_floor_bytes - core.env.fs.free_bytes(core.catalog.live)),
    )
    choice = choose_segments(facts, rules)
    for segment in segments[: choice.delete]:
        core.catalog.drop_oldest(segment)
    live = [segment for segment in segments[choice.delete :] if not segment.archived]
    for segment in live[: choice.archive]:
        core.catalog.move_to_archive(segment, now)


def seal_active(core: Core) -> None:
    """Starts a new memtable; the old one waits to be flushed. Under the write lock, nothing pending."""
    memtable = core.version.active
    memtable.seal()
    fresh = kernels.Memtable()
    sealed = SealedMemtable(memtable, core.log.written, core.log.frames.commit_time_us)
    core.swap_version(lambda version: version.sealing(fresh, sealed))
    core.memtables.set(DEFAULT_FAMILY, fresh)
