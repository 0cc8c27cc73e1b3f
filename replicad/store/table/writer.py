"""Writes one table from the blocks that a merge produces, with its digest as it goes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from replicad import kernels
from replicad.env import FileSystem
from replicad.store.table.format import (
    SEVERAL_VERSIONS,
    BlockHandle,
    encode_footer,
    encode_properties,
    seal_block,
)
from replicad.store.table.meta import TableMeta
from replicad.types import FamilyId, FileNumber, Sequence

BUFFER_BYTES = 128 * 1024


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
        self._buffer = bytearray()

    def add_block(self, raw: bytes) -> BlockHandle:
        return self._seal(raw, self._compress)

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
        filter_handle = self._seal(summary.filter, compress=False)
        index_handle = self._seal(summary.index, self._compress)

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

        properties_handle = self._seal(encode_properties(properties), compress=False)
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

    def _seal(self, raw: bytes, compress: bool) -> BlockHandle:
        sealed, handle = seal_block(raw, self._table_id, self.offset, compress)
        self._put(sealed)
        return handle

    def _put(self, data: bytes) -> None:
        self._buffer += data
        self.offset += len(data)
        if len(self._buffer) >= BUFFER_BYTES:
            self._drain()

    def _drain(self) -> None:
        self._file.append(self._buffer)
        self._sha256.update(self._buffer)
        self._buffer = bytearray()
