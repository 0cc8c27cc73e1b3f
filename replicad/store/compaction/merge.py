"""Runs a merge: feeds blocks of the inputs to the kernel, and turns the blocks that it makes into tables.

A flush is a merge of memtables, a compaction one of tables. The kernel decides which entries stay; this file
reads, writes, cuts the output into tables, and proves afterwards that no entry was passed over.

The kernel merges, opens blocks and seals them with the interpreter's lock released; reading, digesting and
writing release it too. Each time a merge takes the lock again, a thread that serves may have to wait for it:
so whatever is done in Python is done for many blocks at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from replicad import kernels
from replicad.env import Env
from replicad.errors import CorruptionError
from replicad.store.table.file import OpenTable, read_properties
from replicad.store.table.format import COMPRESSION
from replicad.store.table.meta import TableMeta, table_name
from replicad.store.table.writer import TableWriter
from replicad.types import FamilyId, FileNumber, Sequence

STEP_BYTES = 512 * 1024
"""How much output the kernel makes before the blocks are sealed and written."""
STEPS_A_TABLE = 4
"""At least: a table's size is looked at after each step, so that fewer would make tables of very different
sizes."""
INPUT_BYTES = 4 * 1024 * 1024
"""About how much all runs together hold in memory. No memory budget counts it, so that it is little."""
ALIGNED_PART = 0.6
"""From this part of its size on, a table ends where one of the next level does: it overlaps one less of them
then."""
RUN_BYTES_MIN = 32 * 1024
RUN_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOrder:
    """What to make: tables of `family` for `level`, keeping what the snapshots see."""

    family: FamilyId
    level: int
    snapshots: list[Sequence]
    bottom: bool
    boundaries: list[bytes]
    """The largest keys of the tables below the output: see ALIGNED_PART."""
    block_bytes: int
    bits_per_key: int
    table_bytes: int
    compress: bool


class MergeStopped(Exception):
    """The database is being closed; what was written so far is left for the next opening to remove."""


class Merge:
    """One merge, run once, on one background thread."""

    def __init__(
        self,
        env: Env,
        directory: Path,
        order: MergeOrder,
        new_number: Callable[[], FileNumber],
        stop: Callable[[], bool],
    ) -> None:
        self._env = env
        self._directory = directory
        self._order = order
        self._new_number = new_number
        self._stop = stop

        self._merger = kernels.Merger(
            snapshots=list(order.snapshots),
            bottom=order.bottom,
            boundaries=order.boundaries,
            block_bytes=order.block_bytes,
            bits_per_key=order.bits_per_key,
        )

        self._inputs: list[list[OpenTable]] = []
        self._runs: list[Iterator[tuple[kernels.OpenedBlocks, bool]]] = []
        """Of each input its blocks, piece by piece, and whether LZ4 was tried on those stored as they are."""
        self._run_bytes = RUN_BYTES_MAX
        self._entries = 0
        """Of all inputs, as memtables and table metadata count them: what the kernel must have read in the
        end."""

    def add_memtable(self, memtable: kernels.Memtable) -> None:
        self._merger.add_memtable(memtable)
        self._entries += memtable.entries

    def add_run(self, tables: Iterable[OpenTable]) -> None:
        """Tables that do not overlap, in key order."""
        run = list(tables)
        self._merger.add_run()
        self._inputs.append(run)
        self._entries += sum(table.meta.entries for table in run)

    def run(self) -> list[TableMeta]:
        """The tables made, synced, with their names durable; on failure none of them is left.

        Raises MergeStopped when it is told to stop, and CorruptionError when entries of the inputs are
        missing. The inputs stay in either case.
        """
        made: list[TableMeta] = []
        writer: TableWriter | None = None
        step_bytes = min(STEP_BYTES, self._order.table_bytes // STEPS_A_TABLE)
        self._open_runs()
        try:
            # The kernel merges until it needs more input, has made enough blocks, or has ended a table.
            while (event := self._merger.run(step_bytes)) != kernels.MERGE_DONE:
                if self._stop():
                    raise MergeStopped
                if event == kernels.MERGE_NEED_INPUT:
                    self._feed(self._merger.needed_input)
                    continue

                # A table is begun when there is something to put into it: a merge that drops everything makes
                # none.
                if writer is None:
                    writer = self._start_table()
                writer.add_blocks(self._merger)

                # The kernel ends a table only between two keys, because versions of one key in two tables
                # would be an overlap within the level. So it is asked to end it, and says when it has.
                if event == kernels.MERGE_TABLE_END:
                    created_us = self._env.clock.wall_us()
                    made.append(self._finish_table(writer, created_us))
                    writer = None
                elif writer.offset >= self._order.table_bytes:
                    self._merger.request_cut()
                elif writer.offset >= self._order.table_bytes * ALIGNED_PART:
                    self._merger.request_cut_at_boundary()
            self._prove(made)
        except BaseException:
            # No manifest names these files yet. Those of an earlier crash the next opening removes.
            if writer is not None:
                writer.abandon()
                self._env.fs.unlink(writer.path)
            for meta in made:
                self._env.fs.unlink(self._directory / meta.name)
            raise

        # The manifest will name the tables: their names must be durable before.
        if made:
            self._env.fs.sync_directory(self._directory)
        return made

    def _prove(self, made: list[TableMeta]) -> None:
        """Raises CorruptionError unless every entry of the inputs was read and every entry kept was written.

        The inputs are removed once the output is published: an entry that was passed over would be lost for
        good.
        """
        if self._merger.entries_in != self._entries:
            raise CorruptionError(
                "a merge did not read what its inputs hold",
                path=self._directory,
                expected=f"{self._entries} entries",
                got=self._merger.entries_in,
            )

        written = sum(meta.entries for meta in made)
        if written != self._merger.entries_out:
            raise CorruptionError(
                "a merge did not write what it kept",
                path=self._directory,
                expected=f"{self._merger.entries_out} entries",
                got=written,
            )

    def _open_runs(self) -> None:
        """Begins to read the inputs, all of them together within INPUT_BYTES."""
        # Each input is in memory twice for a moment: as it was read, and as it was fed to the kernel.
        share = INPUT_BYTES // (2 * max(1, len(self._inputs)))
        self._run_bytes = min(max(share, RUN_BYTES_MIN), RUN_BYTES_MAX)
        self._runs = [chain.from_iterable(map(self._pieces, tables)) for tables in self._inputs]

    def _pieces(self, table: OpenTable) -> Iterator[tuple[kernels.OpenedBlocks, bool]]:
        # A block of a table that was written with "none" may well become smaller now.
        tried = self._order.compress and read_properties(table).get(COMPRESSION) == "lz4"
        for piece in table.pieces(self._run_bytes):
            yield piece, tried

    def _feed(self, run: int) -> None:
        """Gives the kernel the next blocks of a run, or tells it that there are none."""
        piece, tried = next(self._runs[run], (None, False))
        if piece is None:
            self._merger.finish(run)
        else:
            self._merger.feed_opened(run, piece, tried)

    def _start_table(self) -> TableWriter:
        number = self._new_number()
        path = self._directory / table_name(number)
        table_id = self._env.random.bytes(16)
        return TableWriter(self._env.fs, path, number, table_id, compress=self._order.compress)

    def _finish_table(self, writer: TableWriter, created_us: int) -> TableMeta:
        summary, order = self._merger.finish_table(), self._order
        # A snapshot between the oldest and the newest entry may have kept several versions of a key. The mark
        # in the table lets a later compaction rewrite it when no snapshot needs them any more.
        first, last = summary.first_sequence, summary.last_sequence
        seen_between = any(first <= snapshot < last for snapshot in order.snapshots)
        return writer.finish(summary, order.family, order.level, created_us, several_versions=seen_between)
