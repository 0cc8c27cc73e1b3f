"""Blocks as a table has them, made one at a time."""

from __future__ import annotations

from replicad.store.table.format import BlockHandle, BlockType, block_trailer, compress_block


def seal_block(raw: bytes, table_id: bytes, offset: int, *, compress: bool) -> tuple[bytes, BlockHandle]:
    """Payload and trailer of a block that begins at `offset`, and its handle."""
    payload, kind = compress_block(raw) if compress else (raw, BlockType.RAW)
    handle = BlockHandle(offset, len(payload), len(raw))
    return payload + block_trailer(payload, kind, table_id, offset), handle
