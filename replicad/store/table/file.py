"""An open table: its file and its kernel part, which holds index, filter and cached blocks.

Opening looks at the file's name and size only. What is inside it is read when something needs it first, so
opening a database does not depend on how much it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from replicad import kernels
from replicad.env import FileSystem, ReadFile
from replicad.env.filesystem import Bytes
from replicad.errors import CorruptionError, NewerFormatError
from replicad.store.table.format import (
    FOOTER_BYTES,
    TRAILER_BYTES,
    BlockHandle,
    decode_footer,
    decode_properties,
)
from replicad.store.table.meta import TableMeta


class BlockReader:
    """Reads, checks and decompresses blocks of one table; any thread."""

    def __init__(self, file: ReadFile, table_id: bytes, size_bytes: int) -> None:
        self.file = file
        self.table_id = table_id
        self._size_bytes = size_bytes

    def fetch(self, offset: int, length: int, raw_length: int) -> Bytes:
        """The raw block; raises CorruptionError naming file and offset."""
        try:
            sealed = self._read(offset, length + TRAILER_BYTES)
            raw, _ = kernels.open_block(sealed, self.table_id, offset, length, raw_length)
            return raw
        except CorruptionError as error:
            raise error.located(self.file.path) from None

    def pieces(self, table: kernels.Table, piece_bytes: int) -> Iterator[kernels.OpenedBlocks]:
        """All data blocks, read in pieces of about that size; for merges, which bypass the cache."""
        first = 0
        while first < table.block_count:
            end, offset, length = table.piece(first, piece_bytes)
            sealed = self._read(offset, length)
            try:
                yield table.open_piece(first, end, sealed, self.table_id)
            except CorruptionError as error:
                raise error.located(self.file.path) from None
            first = end

    def _read(self, offset: int, length: int) -> bytes:
        """No more than the file has, whatever an index claims."""
        length = min(length, self._size_bytes - offset)
        return self.file.read(offset, length) if length > 0 else b""


class OpenTable:
    """Immutable. Its file stays readable while the object lives, even after its name is gone."""

    def __init__(self, meta: TableMeta, reader: BlockReader, table: kernels.Table) -> None:
        self.meta = meta
        self.reader = reader
        self.table = table

    def pieces(self, piece_bytes: int = 64 * 1024) -> Iterator[kernels.OpenedBlocks]:
        """All data blocks, a piece of about that size at a time."""
        return self.reader.pieces(self.table, piece_bytes)

    def blocks(self) -> Iterator[bytes]:
        """Each raw data block."""
        for piece in self.pieces():
            for raw, _ in piece.tolist():
                yield raw


def open_table(fs: FileSystem, directory: Path, meta: TableMeta, cache: kernels.BlockCache) -> OpenTable:
    """Opens the table that the manifest describes; a file that is missing or cut is a CorruptionError.

    So is whatever else is wrong with it, naming file and offset, in the call that comes across it.
    """
    path = directory / meta.name
    try:
        file = fs.open(path)
    except FileNotFoundError:
        raise CorruptionError("a table of the manifest is missing", path=path, offset=0) from None
    size = file.size()
    if size != meta.size_bytes:
        end = min(size, meta.size_bytes)
        raise CorruptionError("table size", path=path, offset=end, expected=meta.size_bytes, got=size)
    reader = BlockReader(file, meta.table_id, size)
    load = partial(_read_contents, file, meta)
    table = kernels.Table(meta.number, meta.smallest, meta.largest, cache, load, reader.fetch)
    return OpenTable(meta, reader, table)


def _read_contents(file: ReadFile, meta: TableMeta) -> kernels.TableContents:
    """Index and filter of the table that should be in the file."""
    reader, filter_handle, index_handle, _ = read_footer(file, meta.size_bytes)

    # A number says where a table is and not which one it is: after a restore it may be another.
    if reader.table_id != meta.table_id:
        raise CorruptionError(
            "this is another table",
            path=file.path,
            offset=meta.size_bytes - FOOTER_BYTES,
            expected=meta.table_id.hex(),
            got=reader.table_id.hex(),
        )

    index = reader.fetch(index_handle.offset, index_handle.length, index_handle.raw_length)
    filter = reader.fetch(filter_handle.offset, filter_handle.length, filter_handle.raw_length)
    try:
        return kernels.TableContents(index, filter)
    except CorruptionError as error:
        raise CorruptionError(error.reason, path=file.path, offset=index_handle.offset) from None


def read_footer(file: ReadFile, size: int) -> tuple[BlockReader, BlockHandle, BlockHandle, BlockHandle]:
    """(reader, handles of filter, index and properties) of an open file of `size` bytes."""
    begin = max(size - FOOTER_BYTES, 0)
    try:
        table_id, *handles = decode_footer(file.read(begin, FOOTER_BYTES))
    except CorruptionError as error:
        raise error.located(file.path, begin) from None
    except NewerFormatError as error:
        raise NewerFormatError(f"{file.path}: {error}") from None
    filter_handle, index_handle, properties_handle = handles
    return BlockReader(file, table_id, size), filter_handle, index_handle, properties_handle


def read_properties(table: OpenTable) -> dict[str, Any]:
    """What its writer noted in it; raises CorruptionError."""
    file = table.reader.file
    reader, _, _, handle = read_footer(file, table.meta.size_bytes)
    try:
        return decode_properties(reader.fetch(handle.offset, handle.length, handle.raw_length))
    except CorruptionError as error:
        raise CorruptionError(error.reason, path=file.path, offset=handle.offset) from None
