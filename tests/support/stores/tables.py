"""Tables in memory for tests: built by the merger, read through a dictionary of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from replicad import kernels
from tests.support.oracle.block import PUT, Entry, encode_block, entry_order, split_blocks
from tests.support.oracle.index import BLOCK_TRAILER_BYTES


@dataclass
class BuiltTable:
    """A table as the merger made it: its summary, and its raw blocks by offset."""

    summary: kernels.TableSummary
    blocks: dict[int, bytes]
    fetched: list[int] = field(default_factory=list)

    def load(self) -> kernels.TableContents:
        return kernels.TableContents(self.summary.index, self.summary.filter)

    def fetch(self, offset: int, length: int, raw_length: int) -> bytes:
        self.fetched.append(offset)
        return self.blocks[offset]

    def open(self, cache: kernels.BlockCache, number: int = 1) -> kernels.Table:
        summary = self.summary
        return kernels.Table(number, summary.smallest, summary.largest, cache, self.load, self.fetch)

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
        for raw, _ in merger.take_blocks():
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
    merger = merger_of(
        entries, block_bytes=block_bytes, bits_per_key=bits_per_key, snapshots=snapshots, bottom=bottom
    )
    return drain(merger, table_bytes=table_bytes, output_bytes=1)


def merger_of(
    entries: Iterable[Entry],
    *,
    block_bytes: int,
    bits_per_key: int = 10,
    snapshots: Sequence[int] | None = None,
    bottom: bool = False,
) -> kernels.Merger:
    """A merger that was fed these entries; it keeps all versions unless `snapshots` are given."""
    ordered = sorted(entries, key=entry_order)
    if snapshots is None:
        snapshots = sorted({entry.sequence for entry in ordered})
    merger = kernels.Merger(
        snapshots=list(snapshots), bottom=bottom, block_bytes=block_bytes, bits_per_key=bits_per_key
    )
    number = merger.add_run()
    for block in split_blocks(ordered, 1024):
        merger.feed(number, encode_block(block))
    merger.finish(number)
    return merger


def build_memtables(entries: Sequence[Entry], sealed_after: Sequence[int] = ()) -> list[kernels.Memtable]:
    """Memtables of these entries, which come in sequence order without a gap; newest first.

    A memtable is sealed after each of the sequence numbers given, and the last one is not.
    """
    memtables = [kernels.Memtable()]
    active = kernels.MemtableSet()
    active.set(0, memtables[0])
    writer = kernels.FrameWriter(bytes(16), 1, entries[0].sequence - 1 if entries else 0, 0)
    for entry in entries:
        if entry.kind == PUT:
            sequence = writer.add_put(entry.key, entry.value, 0, 0, 0)
        else:
            sequence = writer.add_delete(entry.key, 0, 0, 0)
        assert sequence == entry.sequence
        writer.commit(active)
        if sequence in sealed_after:
            memtables[0].seal()
            memtables.insert(0, kernels.Memtable())
            active.set(0, memtables[0])
    return memtables


def all_pairs(cursor: kernels.Cursor, page_pairs: int = 7) -> list[tuple[bytes, bytes]]:
    """What a cursor gives, page by page."""
    pairs = []
    while page := cursor.page(page_pairs):
        pairs += page
    return pairs
