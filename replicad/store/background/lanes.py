"""Flush and compaction: each on a lane of its own, each publishing a version when its tables are durable.

A full disk is waited out: the work is tried again every second, and `store.pressure` decides what writers
meet meanwhile. Any other failure poisons the store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from replicad import kernels
from replicad.env import Lane, is_no_room, naming_full_disk
from replicad.errors import ClosedError, CorruptionError, DiskFullError
from replicad.store.background.log_upkeep import apply_retention
from replicad.store.compaction.merge import Merge, MergeOrder, MergeStopped
from replicad.store.compaction.picker import (
    Choice,
    LevelMerge,
    TableMove,
    TableRewrite,
    choose,
    choose_in,
    merged_bytes,
    most_urgent,
    rewrites,
)
from replicad.store.manifest.edit import Edit
from replicad.store.manifest.state import ManifestState
from replicad.store.pressure import Work
from replicad.store.syncer import Syncer
from replicad.store.table.file import OpenTable, open_table, read_properties
from replicad.store.table.format import SEVERAL_VERSIONS
from replicad.store.table.meta import LEVELS, TableMeta
from replicad.store.version import FamilyVersion, SealedMemtables, at_level
from replicad.store.writable_core import WritableCore
from replicad.types import FamilyId, FileNumber
from replicad.units import show_size

RETRY_SECONDS = 1.0


class Background:
    def __init__(self, core: WritableCore, syncer: Syncer, flush_lane: Lane, compaction_lane: Lane) -> None:
        self._core = core
        self._syncer = syncer
        self._flush_lane = flush_lane
        self._compaction_lane = compaction_lane
        self._stopping = threading.Event()
        self._merging = threading.Lock()
        """Held by the one who compacts: the lane, or a caller of `compact`."""
        self._flushing: list[tuple[Work, Callable[[], None]]] = [
            ("manifest", lambda: start_manifest(core)),
            ("flush", self._flush_all),
            ("archive", lambda: let_log_go(core)),
            ("reserve", lambda: check_reserve(core)),
        ]
        self._compacting: list[tuple[Work, Callable[[], None]]] = [("compaction", self._compact_until_damage)]

    def request_flush(self) -> None:
        self._flush_lane.submit(lambda: self._run(self._flushing))

    request_retention = request_flush
    """What flush cannot do for want of room, retention may make possible, so they are tried together."""

    def request_compaction(self) -> None:
        self._compaction_lane.submit(lambda: self._run(self._compacting))

    def stop(self) -> None:
        self._stopping.set()
        self._flush_lane.close()
        self._compaction_lane.close()
        with self._merging:
            pass  # Nobody merges any more.

    def compact_everything(self) -> None:
        """Merges each family downwards, level after level, until one holds all; on the caller's thread.

        What was in that level already is written again only where it can shrink. Raises DiskFullError; what
        was merged by then stays merged.
        """
        with self._merging, naming_full_disk(f"{self._core.path}: no room to compact"):
            for family in self._core.version.live():
                for level in range(LEVELS - 1):
                    self._compact_out_of(family.record.id, level)
                self._shrink(family.record.id)

    def _compact_out_of(self, id: FamilyId, level: int) -> None:
        while True:
            family = self._core.version.families.get(id)
            if family is None or family.dropped is not None:
                return
            metas = family.metas()
            if not metas[level] or (level > 0 and not any(metas[level + 1 :])):
                return
            self._compact_for_caller(family, choose_in(metas, level))

    def _shrink(self, id: FamilyId) -> None:
        """Rewrites tables of the lowest level that hold deletions, or versions that snapshots needed once."""
        family = self._core.version.families.get(id)
        if family is None or family.dropped is not None or not any(family.levels[1:]):
            return
        level = max(level for level, tables in enumerate(family.levels) if tables)
        tables = {table.meta.number: table for table in family.levels[level]}
        oldest = min(self._core.snapshots.sequences(), default=None)

        def may_shrink(meta: TableMeta) -> bool:
            if oldest is not None and oldest < meta.last_sequence:
                return False
            return meta.deletions > 0 or SEVERAL_VERSIONS in read_properties(tables[meta.number])

        for choice in rewrites([table.meta for table in tables.values()], level, may_shrink):
            self._compact_for_caller(family, choice)

    def _compact_for_caller(self, family: FamilyVersion, choice: Choice) -> None:
        given_up = self._core.env.runner.given_up
        if self._stopping.is_set() or given_up():
            raise ClosedError("the database was closed")
        check_output_fits(self._core, choice)
        try:
            self._compact(family, choice, lambda: self._stopping.is_set() or given_up())
        except MergeStopped:
            raise ClosedError("the database was closed") from None

    def _run(self, works: list[tuple[Work, Callable[[], None]]]) -> None:
        """Each in turn, and all again later while one of them finds no room."""
        while not self._stopping.is_set() and self._core.progress.failure is None:
            found = [self._finds_room(work, job) for work, job in works]
            if all(found):
                return
            self._stopping.wait(RETRY_SECONDS)

    def _finds_room(self, work: Work, job: Callable[[], None]) -> bool:
        core = self._core
        missing = None
        try:
            if not self._stopping.is_set() and core.progress.failure is None:
                job()
        except MergeStopped:
            pass
        except (OSError, DiskFullError) as error:
            # A full disk is waited out; any other failure poisons the store.
            full = isinstance(error, DiskFullError) or is_no_room(error)
            if full and core.progress.failure is None:
                missing = f"the disk is full: {error}"
            else:
                core.progress.fail(error)
        except Exception as error:
            core.progress.fail(error)

        core.note_room(work, missing)
        return missing is None

    def _flush_all(self) -> None:
        core = self._core
        while core.version.sealed and not self._stopping.is_set():
            # No table may hold what the log could still lose.
            self._syncer.sync_through(core.version.sealed[-1].position.sequence)
            flush_oldest(core, self._stopping.is_set)
            self.request_compaction()

    def _compact_until_damage(self) -> None:
        try:
            self._compact_all()
        except CorruptionError as error:
            # A merge that failed changed nothing, and what is not damaged can be read: no reason to stop.
            self._core.found_damage(error)

    def _compact_all(self) -> None:
        while not self._stopping.is_set() and self._core.damage is None:
            with self._merging:
                live = {family.record.id: family for family in self._core.version.live()}
                shape = self._core.shape
                urgent = most_urgent({id: family.metas() for id, family in live.items()}, shape)
                if urgent is None:
                    return
                choice = choose(live[urgent].metas(), shape)
                assert choice is not None
                check_output_fits(self._core, choice)
                self._compact(live[urgent], choice, self._stopping.is_set)

    def _compact(self, family: FamilyVersion, choice: Choice, stop: Callable[[], bool]) -> None:
        tables = {table.meta.number: table for table in family.tables()}
        match choice:
            case TableMove(table=meta, output_level=level):
                moved = at_level(tables[meta.number], level)
                publish_compaction(self._core, family.record.id, [meta], [moved])

            case LevelMerge(level=level, inputs=inputs, below=below):
                # Tables of level 0 overlap, so that each is a run of its own; those of another level are one.
                upper = [[meta] for meta in inputs] if level == 0 else [list(inputs)]
                merge = new_merge(self._core, family, choice.output_level, choice.bottom, stop)
                for run in (*upper, below):
                    merge.add_run([tables[meta.number] for meta in run])
                self._run_merge(family, merge, [*inputs, *below])

            case TableRewrite(level=level, tables=rewritten):
                # No level below holds anything, so that no deletion is needed any more.
                merge = new_merge(self._core, family, level, bottom=True, stop=stop)
                merge.add_run([tables[meta.number] for meta in rewritten])
                self._run_merge(family, merge, list(rewritten))

    def _run_merge(self, family: FamilyVersion, merge: Merge, inputs: list[TableMeta]) -> None:
        """Merges, puts the output in the place of the inputs, and removes what is not needed then."""
        core = self._core
        made = merge.run()
        opened = _open_made(core, made)
        try:
            published = publish_compaction(core, family.record.id, inputs, opened)
        except DiskFullError:
            # The manifest does not name the output, and the inputs stay what is read.
            core.remove_tables(made)
            raise
        core.remove_tables(inputs if published else made)


def start_manifest(core: WritableCore) -> None:
    """Makes up for an opening without room. Raises DiskFullError."""
    if not core.manifest.has_file:
        core.record(Edit(next_file=core.numbers.next))


def let_log_go(core: WritableCore) -> None:
    """`apply_retention`, once what the manifest says of the log is known to be durable."""
    if core.manifest.has_file:
        apply_retention(core)


def check_reserve(core: WritableCore) -> None:
    """Raises DiskFullError when less is free than flush and manifest should find."""
    reserve = core.options.disk_reserve_bytes
    # The log may have a disk of its own.
    for path in (core.path, core.catalog.live) if reserve else ():
        free = core.env.fs.free_bytes(path)
        if free < reserve:
            raise DiskFullError(
                f"{path}: {show_size(free)} are free, and disk_reserve_bytes keeps {show_size(reserve)}"
            )


def check_output_fits(core: WritableCore, choice: Choice) -> None:
    """Raises DiskFullError when a merge may need more room than there is beyond the reserve.

    Begun all the same, it would fill the disk, fail, give the room back and begin again, for ever.
    """
    needed = merged_bytes(choice)
    free = core.env.fs.free_bytes(core.path) - core.options.disk_reserve_bytes if needed else 0
    if free < needed:
        raise DiskFullError(
            f"{core.path}: a compaction waits for {show_size(needed)} of room, more than are free beyond "
            f"disk_reserve_bytes"
        )


def new_merge(
    core: WritableCore, family: FamilyVersion, level: int, bottom: bool, stop: Callable[[], bool]
) -> Merge:
    options = core.options
    if (special := core.family_options.get(family.record.name)) is not None:
        options = special.over(options)

    # A table that ends where one of the next level does overlaps one less of them.
    below = family.levels[level + 1] if 0 < level < LEVELS - 1 else ()

    order = MergeOrder(
        family=family.record.id,
        level=level,
        snapshots=core.snapshots.sequences(),
        bottom=bottom,
        boundaries=[table.meta.largest for table in below],
        block_bytes=options.block_bytes,
        bits_per_key=options.bloom_bits_per_key,
        table_bytes=options.table_bytes,
        compress=options.compression == "lz4",
    )
    return Merge(core.env, core.path, order, core.numbers.take, stop)


def flush_oldest(core: WritableCore, stop: Callable[[], bool]) -> None:
    """Turns the oldest sealed memtables into tables of level 0, all families in one edit; releases their log.

    The log that they came from is durable. The edit also says which families there are at that position:
    tables of those dropped before it go.
    """
    sealed = core.version.sealed[-1]
    made = _write_tables(core, sealed, stop)
    gone: list[TableMeta] = []

    def edit(state: ManifestState) -> Edit:
        gone[:] = [meta for meta in state.tables if meta.family not in sealed.families.ids]
        return Edit(
            add=tuple(made),
            drop=tuple(meta.number for meta in gone),
            next_file=core.numbers.next,
            flushed=sealed.position,
            commit_time_us=sealed.commit_time_us,
            families=sealed.families,
        )

    try:
        core.record_made(edit)
    except DiskFullError:
        core.remove_tables(made)
        raise
    opened = _open_made(core, made)
    core.swap_version(lambda version: version.flushing(sealed, opened))
    core.counters.flushes += 1
    core.counters.flushed_bytes += sum(meta.size_bytes for meta in made)
    core.remove_tables(gone)
    core.forget_dropped()


def _write_tables(core: WritableCore, sealed: SealedMemtables, stop: Callable[[], bool]) -> list[TableMeta]:
    """A family dropped meanwhile is written too: its drop may not be durable yet."""
    made: list[TableMeta] = []
    families = core.version.families
    try:
        for id, memtable in sealed.memtables.items():
            if id in families:
                merge = new_merge(core, families[id], 0, bottom=False, stop=stop)
                merge.add_memtable(memtable)
                made += merge.run()
    except BaseException:
        for meta in made:
            core.env.fs.unlink(core.path / meta.name)
        raise
    return made


def _open_made(core: WritableCore, made: list[TableMeta]) -> list[OpenTable]:
    """With index and filter read already: no reader should pay for what was written just now."""
    opened = [open_table(core.env.fs, core.path, meta, core.cache) for meta in made]
    for table in opened:
        table.table.load()
    return opened


def publish_compaction(
    core: WritableCore, family: FamilyId, dropped: list[TableMeta], added: list[OpenTable]
) -> bool:
    """False, with nothing changed, when the family was dropped and its tables are gone."""
    numbers = {meta.number for meta in dropped}

    def edit(state: ManifestState) -> Edit | None:
        if family not in state.families.ids:
            return None
        return Edit(
            add=tuple(table.meta for table in added),
            drop=tuple(FileNumber(number) for number in sorted(numbers)),
            next_file=core.numbers.next,
        )

    if not core.record_made(edit):
        return False
    core.swap_version(lambda version: version.compacting(family, numbers, added))
    core.counters.compactions += 1
    core.counters.compaction_bytes_read += sum(meta.size_bytes for meta in dropped)
    core.counters.compaction_bytes_written += sum(table.meta.size_bytes for table in added)
    core.leases.expire()
    return True


def seal_active(core: WritableCore) -> None:
    """Starts new memtables for all families; the old ones wait to be flushed together.

    Under the write lock, with nothing pending and every control operation up to the log's end applied.
    """
    version = core.version
    full = {family.record.id: family.active for family in version.live() if family.active.entries}
    for memtable in full.values():
        memtable.seal()
    fresh = {id: kernels.Memtable() for id in full}
    sealed = SealedMemtables(full, version.family_list, core.log.written, core.log.frames.commit_time_us)
    core.swap_version(lambda version: version.sealing(sealed, fresh))
    for id, memtable in fresh.items():
        core.memtables.set(id, memtable)
    core.log.rotate_when_worthwhile()
