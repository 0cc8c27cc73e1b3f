"""Tables in memory for tests: built by the merger, read through a dictionary of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from replicad import kernels
from tests.support.oracle.block import Entry, encode_block, entry_order, split_blocks

BLOCK_TRAILER_BYTES = 5


@dataclass
class BuiltTable:
    """A table as the merger made it: its summary, and its raw blocks by offset."""

    summary: kernels.TableSummary
    blocks: dict[int, bytes]
    fetched: list[int] = field(default_factory=list)

    def fetch(self, offset: int, length: int, raw_length: int) -> bytes:
        self.fetched.append(offset)
        return self.blocks[offset]

    def open(self, cache: kernels.BlockCache, number: int = 1) -> kernels.Table:
        summary = self.summary
        return kernels.Table(
            number, summary.index, summary.filter, summary.smallest, summary.largest, cache, self.fetch
        )

    def entries(self) -> list[Entry]:
        return [Entry(*entry) for block in self.blocks.values() for entry in kernels.decode_block(block)]


def drain(
    merger: kernels.Merger,
    inputs: dict[int, list[bytes]] | None = None,
    *,
    table_bytes: int = 1 << 60,
    output_bytes: int = 1 << 18,
) -> list[BuiltTable]:
    """Runs a merger to its end, feeding each run block by block; cuts tables that reach `table_bytes`."""
    tables = []
    blocks: dict[int, bytes] = {}
    offset = 0
    waiting = {number: list(fed) for number, fed in (inputs or {}).items()}
    while True:
        status = merger.run(output_bytes)
        for raw in merger.take_blocks():
            blocks[offset] = raw
            merger.block_written(offset, len(raw))
            offset += len(raw) + BLOCK_TRAILER_BYTES
        if status == kernels.MERGE_TABLE_END:
            tables.append(BuiltTable(merger.finish_table(), blocks))
            blocks, offset = {}, 0
        elif status == kernels.MERGE_NEED_INPUT:
            fed = waiting[merger.needed_input]
            if fed:
                merger.feed(merger.needed_input, fed.pop(0))
            else:
                merger.finish(merger.needed_input)
        elif status == kernels.MERGE_DONE:
            return tables
        if merger.table_raw_bytes >= table_bytes:
            merger.request_cut()


def build_tables(
    entries: Iterable[Entry],
    *,
    block_bytes: int = 256,
    bits_per_key: int = 10,
    table_bytes: int = 1 << 60,
    snapshots: Sequence[int] | None = None,
    bottom: bool = False,
) -> list[BuiltTable]:
    """The merger's tables of these entries; it keeps all versions unless `snapshots` are given."""
    ordered = sorted(entries, key=entry_order)
    if snapshots is None:
        snapshots = sorted({entry.sequence for entry in ordered})
    merger = kernels.Merger(
        snapshots=list(snapshots), bottom=bottom, block_bytes=block_bytes, bits_per_key=bits_per_key
    )
    number = merger.add_run()
    fed = [encode_block(block) for block in split_blocks(ordered, 1024)]
    return drain(merger, {number: fed}, table_bytes=table_bytes, output_bytes=1)
