"""Writes one table from the blocks that a merge produces, with its digest as it goes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from replicad import kernels
from replicad.env import FileSystem
from replicad.env.filesystem import Bytes
from replicad.store.table.compression import CompressionTries
from replicad.store.table.format import (
    COMPRESSION,
    LZ4,
    RAW,
    SEVERAL_VERSIONS,
    BlockHandle,
    BlockType,
    block_trailer,
    compress_block,
    encode_footer,
    encode_properties,
)
from replicad.store.table.meta import TableMeta
from replicad.types import FamilyId, FileNumber, Sequence

WRITE_BYTES = 128 * 1024
"""Each write but the last has this length, and so begins at a multiple of it: the page cache then takes large
pages. A write at another place costs the system about a third more."""


class TableWriter:
    """One owner; `finish` syncs the file, not its directory."""

    def __init__(
        self, fs: FileSystem, path: Path, number: FileNumber, table_id: bytes, *, compress: bool
    ) -> None:
        self.path = path
        self.offset = 0
        self._number = number
        self._table_id = table_id
        self._compress = compress
        self._file = fs.create(path)
        self._sha256 = hashlib.sha256()
        self._tries = CompressionTries()
        self._buffer = memoryview(bytearray(WRITE_BYTES))
        self._filled = 0

    def add_block(self, raw: bytes, *, incompressible: bool = False) -> BlockHandle:
        """`incompressible`: all it holds was stored as it is where LZ4 was tried before."""
        if not self._compress or not self._tries.wanted(known=incompressible):
            return self._seal(raw, raw, RAW)
        payload, kind = compress_block(raw)
        self._tries.tried(known=incompressible, smaller=kind is LZ4)
        return self._seal(raw, payload, kind)

    def finish(
        self,
        summary: kernels.TableSummary,
        family: FamilyId,
        level: int,
        created_us: int,
        *,
        several_versions: bool = False,
    ) -> TableMeta:
        """Writes filter, index, properties and footer, and syncs; returns what the manifest must know."""
        raw_bytes = summary.raw_key_bytes + summary.raw_value_bytes
        filter_handle = self._seal(summary.filter, summary.filter, RAW)
        index = summary.index
        stored = compress_block(index) if self._compress else (index, RAW)
        index_handle = self._seal(index, *stored)

        properties = {
            "family": family,
            "entries": summary.entries,
            "deletions": summary.deletions,
            "smallest": summary.smallest,
            "largest": summary.largest,
            "first_sequence": summary.first_sequence,
            "last_sequence": summary.last_sequence,
            "raw_bytes": raw_bytes,
            "created_us": created_us,
        }

        if several_versions:
            properties[SEVERAL_VERSIONS] = True
        if self._compress:
            properties[COMPRESSION] = "lz4"

        encoded = encode_properties(properties)
        properties_handle = self._seal(encoded, encoded, RAW)
        self._put(encode_footer(self._table_id, filter_handle, index_handle, properties_handle))

        # The manifest names the table next: by then its content has to be durable.
        self._drain()
        self._file.sync()
        self._file.close()

        return TableMeta(
            number=self._number,
            table_id=self._table_id,
            family=family,
            level=level,
            size_bytes=self.offset,
            sha256=self._sha256.digest(),
            smallest=summary.smallest,
            largest=summary.largest,
            first_sequence=Sequence(summary.first_sequence),
            last_sequence=Sequence(summary.last_sequence),
            entries=summary.entries,
            deletions=summary.deletions,
            raw_bytes=raw_bytes,
        )

    def abandon(self) -> None:
        self._file.close()

    def _seal(self, raw: bytes, payload: bytes, kind: BlockType) -> BlockHandle:
        handle = BlockHandle(self.offset, len(payload), len(raw))
        self._put(payload)
        self._put(block_trailer(payload, kind, self._table_id, handle.offset))
        return handle

    def _put(self, data: Bytes) -> None:
        self.offset += len(data)
        while self._filled + len(data) >= WRITE_BYTES:
            room = WRITE_BYTES - self._filled
            self._buffer[self._filled :] = data[:room]
            self._filled = WRITE_BYTES
            self._drain()
            data = memoryview(data)[room:]
        end = self._filled + len(data)
        self._buffer[self._filled : end] = data
        self._filled = end

    def _drain(self) -> None:
        written = self._buffer[: self._filled]
        self._file.append(written)
        self._sha256.update(written)
        self._filled = 0
