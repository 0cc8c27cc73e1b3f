"""Data directories whose tables hold something else than their history: every checksum is right, the content
is not. What a bug, or a bad memory chip before the checksum, would leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from replicad import kernels
from replicad.env import LocalFileSystem
from replicad.options import Options
from replicad.store.copies.checkpoint import write_state
from replicad.store.database import open_database
from replicad.store.manifest.file import load, remove_stale_manifests
from replicad.store.table.file import open_table
from replicad.store.table.meta import TableMeta, table_name
from replicad.store.table.writer import TableWriter
from replicad.types import FileNumber
from tests.support.oracle.block import PUT, Entry
from tests.support.stores.tables import merger_of

Change = Mapping[bytes, bytes | None]
"""Another value for a key, or None to leave the key out."""


def tamper(directory: Path, options: Options, changes: Mapping[int, Change]) -> None:
    """Rewrites the tables of a replica that is down, by column family; its position stays what it was.

    A key that is new goes into a table whose range covers it.
    """
    with open_database(directory, options, role="replica") as database:
        database.flush()
    fs = LocalFileSystem()
    state = load(fs, directory)
    tables, number = [], state.next_file
    for meta in state.tables:
        change = changes.get(meta.family, {})
        entries = _entries(directory, meta)
        changed = _changed(entries, change)
        if changed != entries:
            meta = _write(directory, replace(meta, number=number), changed)
            number = FileNumber(number + 1)
        tables.append(meta)
    assert number > state.next_file, "nothing was changed"
    write_state(fs, directory, replace(state, tables=tuple(tables), next_file=number))
    remove_stale_manifests(fs, directory)


def _entries(directory: Path, meta: TableMeta) -> list[Entry]:
    table = open_table(LocalFileSystem(), directory, meta, kernels.BlockCache(0))
    return [Entry(*entry) for block in table.blocks() for entry in kernels.decode_block(block)]


def _changed(entries: list[Entry], change: Change) -> list[Entry]:
    first, last = entries[0].key, entries[-1].key
    here = {entry.key for entry in entries}
    kept = []
    for entry in entries:
        if entry.key not in change:
            kept.append(entry)
        elif (value := change[entry.key]) is not None:
            kept.append(Entry(entry.key, entry.sequence, PUT, value))
    for key, value in change.items():
        if value is not None and key not in here and first < key < last:
            kept.append(Entry(key, entries[0].sequence, PUT, value))
    return kept


def _write(directory: Path, meta: TableMeta, entries: list[Entry]) -> TableMeta:
    merger = merger_of(entries, block_bytes=1024)
    assert merger.run(1 << 60) == kernels.MERGE_TABLE_END
    writer = TableWriter(
        LocalFileSystem(), directory / table_name(meta.number), meta.number, meta.table_id, compress=False
    )
    writer.add_blocks(merger)
    return writer.finish(merger.finish_table(), meta.family, meta.level, 0)


def flip_byte(directory: Path) -> Path:
    """Changes one byte in the first data block of the largest table, and nothing else; which file it was.

    The file is made anew: another node may have it under a hard link.
    """
    table = max(directory.glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(table.read_bytes())
    data[100] ^= 1
    table.unlink()
    table.write_bytes(data)
    return table
