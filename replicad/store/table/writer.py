"""Writes one table from the blocks that a merge produces, with its digest as it goes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from replicad import kernels
from replicad.env import FileSystem
from replicad.env.filesystem import Bytes
from replicad.store.table.format import (
    COMPRESSION,
    SEVERAL_VERSIONS,
    BlockHandle,
    encode_footer,
    encode_properties,
)
from replicad.store.table.meta import TableMeta
from replicad.types import FamilyId, FileNumber, Sequence

WRITE_BYTES = 512 * 1024
"""Each write but the last has this length, and so begins at a multiple of it: the page cache then takes large
pages. A write at another place costs the system about a third more."""


class TableWriter:
    """One owner; `finish` syncs the file, not its directory."""

    def __init__(
        self, fs: FileSystem, path: Path, number: FileNumber, table_id: bytes, *, compress: bool
    ) -> None:
        self.path = path
        self._number = number
        self._table_id = table_id
        self._compress = compress
        self._file = fs.create(path)
        self._sha256 = hashlib.sha256()
        self._sealer = kernels.BlockSealer(table_id, compress)
        self._buffer = bytearray(WRITE_BYTES)

    @property
    def offset(self) -> int:
        """How long the table is so far, with what is not written yet."""
        return self._sealer.offset

    def add_blocks(self, merger: kernels.Merger) -> None:
        """The data blocks that the merger has ready."""
        while merger.seal(self._sealer, self._buffer):
            self._append(self._buffer)

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
        sealer = self._sealer
        filter_handle = BlockHandle(*sealer.add(summary.filter, try_lz4=False))
        index_handle = BlockHandle(*sealer.add(summary.index, try_lz4=True))

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

        properties_handle = BlockHandle(*sealer.add(encode_properties(properties), try_lz4=False))
        footer = encode_footer(self._table_id, filter_handle, index_handle, properties_handle)
        size_bytes = sealer.offset + len(footer)
        self._append(sealer.take() + footer)

        # The manifest names the table next: by then its content has to be durable.
        self._file.sync()
        self._file.close()

        return TableMeta(
            number=self._number,
            table_id=self._table_id,
            family=family,
            level=level,
            size_bytes=size_bytes,
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

    def _append(self, data: Bytes) -> None:
        self._file.append(data)
        self._sha256.update(data)
