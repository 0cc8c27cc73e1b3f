"""Runs a merge: feeds the kernel blocks, and turns the blocks it makes into tables.

The kernel merges with the GIL released; reading, compressing, digesting and writing are calls that release
it too, so a merge takes little from the threads beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from replicad import kernels
from replicad.env import Env
from replicad.errors import CorruptionError
from replicad.store.table.file import OpenTable
from replicad.store.table.meta import TableMeta, table_name
from replicad.store.table.writer import TableWriter
from replicad.types import FamilyId, FileNumber, Sequence

STEP_BYTES = 256 * 1024
"""Of output blocks, between two calls that compress and write them."""
STEPS_A_TABLE = 4
"""At least, because a table's size is looked at after each."""
INPUT_BYTES = 1024 * 1024
"""What all runs together hold ready, about; merges are outside of every budget, so it is little."""
ALIGNED_PART = 0.6
"""Of a table's size: from there on it ends where a table of the next level does."""
RUN_BYTES_MIN = 32 * 1024
RUN_BYTES_MAX = 128 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOrder:
    """What to make: tables of `family` for `level`, keeping what the snapshots see."""

    family: FamilyId
    level: int
    snapshots: list[Sequence]
    bottom: bool
    boundaries: list[bytes]
    """Largest keys of the tables below the output: a table that ends there overlaps one less of them."""
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
        self._runs: list[Iterator[bytes]] = []
        self._run_bytes = RUN_BYTES_MAX
        self._entries = 0
        """Of all inputs, as their owners count them."""

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

        Raises CorruptionError when they are not what all entries of the inputs make: the inputs stay then.
        """
        made: list[TableMeta] = []
        writer: TableWriter | None = None
        step_bytes = min(STEP_BYTES, self._order.table_bytes // STEPS_A_TABLE)
        self._open_runs()
        try:
            while (event := self._merger.run(step_bytes)) != kernels.MERGE_DONE:
                if self._stop():
                    raise MergeStopped
                if event == kernels.MERGE_NEED_INPUT:
                    self._feed(self._merger.needed_input)
                    continue
                if writer is None:
                    writer = self._start_table()
                self._write_blocks(writer)
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
            if writer is not None:
                writer.abandon()
                self._env.fs.unlink(writer.path)
            for meta in made:
                self._env.fs.unlink(self._directory / meta.name)
            raise
        if made:
            self._env.fs.sync_directory(self._directory)
        return made

    def _prove(self, made: list[TableMeta]) -> None:
        """Inputs are removed once the output is published, so nothing of them may have been passed over."""
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
        """Each input is held twice for a moment, as it was read and as it was fed."""
        share = INPUT_BYTES // (2 * max(1, len(self._inputs)))
        self._run_bytes = min(max(share, RUN_BYTES_MIN), RUN_BYTES_MAX)
        self._runs = [
            chain.from_iterable(table.blocks(self._run_bytes) for table in tables) for tables in self._inputs
        ]

    def _feed(self, run: int) -> None:
        fed = 0
        for block in self._runs[run]:
            self._merger.feed(run, block)
            fed += len(block)
            if fed >= self._run_bytes:
                return
        self._merger.finish(run)

    def _start_table(self) -> TableWriter:
        number = self._new_number()
        path = self._directory / table_name(number)
        table_id = self._env.random.bytes(16)
        return TableWriter(self._env.fs, path, number, table_id, compress=self._order.compress)

    def _finish_table(self, writer: TableWriter, created_us: int) -> TableMeta:
        summary, order = self._merger.finish_table(), self._order
        first, last = summary.first_sequence, summary.last_sequence
        seen_between = any(first <= snapshot < last for snapshot in order.snapshots)
        return writer.finish(summary, order.family, order.level, created_us, several_versions=seen_between)

    def _write_blocks(self, writer: TableWriter) -> None:
        for raw in self._merger.take_blocks():
            handle = writer.add_block(raw)
            self._merger.block_written(handle.offset, handle.length)
