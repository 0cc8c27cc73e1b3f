"""What a table says of its own sizes is checked against what is there, before any room is made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad import kernels
from replicad.env.filesystem import FileStamp
from replicad.errors import CorruptionError
from replicad.store.table.file import BlockReader
from replicad.store.table.format import BlockHandle
from tests.support.oracle.index import BlockHandle as IndexHandle
from tests.support.oracle.index import encode_index
from tests.support.stores.sealed_blocks import seal_block

TABLE_ID = b"t" * 16


class WatchedFile:
    """A file that notes the longest piece it was asked for."""

    path = Path("000001.sst")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.asked = 0

    def read(self, offset: int, length: int, /) -> bytes:
        assert 0 <= offset < 1 << 63
        self.asked = max(self.asked, length)
        return self._content[offset : offset + length]

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        data = self.read(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def stamp(self) -> FileStamp:
        return FileStamp(0, 0, len(self._content), 0, 0)

    def size(self) -> int:
        return len(self._content)

    def close(self) -> None:
        pass


def test_a_block_that_claims_to_decompress_to_gigabytes_is_refused() -> None:
    """LZ4 gives at most 255 bytes for one: a handle that wants more is corrupt, and costs nothing."""
    sealed, handle = seal_block(b"a" * 10_000, TABLE_ID, 0, compress=True)
    assert handle.length < 100
    assert kernels.open_block(sealed, TABLE_ID, *handle) == (b"a" * 10_000, True)
    for claimed in (1 << 30, 0xFFFF_FFFF):
        with pytest.raises(CorruptionError, match="at most"):
            kernels.open_block(sealed, TABLE_ID, 0, handle.length, claimed)


@pytest.mark.parametrize("offset", [0, 50, 5000, (1 << 62), (1 << 64) - 1])
def test_no_more_is_read_than_the_file_has(offset: int) -> None:
    """A block of 4 GiB, or far outside, that an index claims is corruption; no such buffer is made."""
    file = WatchedFile(bytes(100))
    reader = BlockReader(file, TABLE_ID, file.size())
    with pytest.raises(CorruptionError, match="a block is cut"):
        reader.fetch(offset, 0xFFFF_FFFF, 1)
    with pytest.raises(CorruptionError, match=r"a block is cut|out of order"):
        list(reader.pieces(_table(BlockHandle(offset, 0xFFFF_FFFF, 1)), 1 << 16))
    assert file.asked <= 100


def _table(handle: BlockHandle) -> kernels.Table:
    """A table whose index says that its only data block is there."""
    contents = kernels.TableContents(encode_index([b"z"], [IndexHandle(*handle)]), b"")
    return kernels.Table(1, b"a", b"z", kernels.BlockCache(0), lambda: contents, lambda *_: b"")
