"""Blocks as a table has them, made one at a time, as `proto/table.md` says."""

from __future__ import annotations

import struct

import lz4.block

from replicad import kernels
from replicad.store.table.format import BlockHandle


def seal_block(raw: bytes, table_id: bytes, offset: int, *, compress: bool) -> tuple[bytes, BlockHandle]:
    """Payload and trailer of a block that begins at `offset`, and its handle."""
    payload = lz4.block.compress(raw, store_size=False) if compress else raw
    checked = payload + bytes([compress])
    crc = kernels.crc32c(checked, kernels.crc32c(table_id + struct.pack("<Q", offset)))
    return checked + struct.pack("<I", crc), BlockHandle(offset, len(payload), len(raw))
