"""A table, and a block, is known by what is in it: under another name or in another place it is damage."""

from __future__ import annotations

from pathlib import Path

import pytest

import replicad
from replicad import kernels
from replicad.errors import CorruptionError
from tests.support.stores.sealed_blocks import seal_block
from tests.support.stores.small import small_options

ID, OTHER = b"t" * 16, b"o" * 16


def test_a_table_under_the_name_of_another_is_damage(tmp_path: Path) -> None:
    """Its index and its filter speak of other keys: what the right one holds must not read as absent."""
    options = small_options(level0_compaction_tables=10, level0_stall_tables=20)
    with replicad.open(tmp_path / "db", options) as database:
        for first in (b"a", b"b"):
            for number in range(20):
                database.put(first + b"-%02d" % number, b"v")
            database.flush()
    one, two = sorted((tmp_path / "db").glob("*.sst"))
    contents = one.read_bytes(), two.read_bytes()
    assert len(contents[0]) == len(contents[1])
    one.write_bytes(contents[1])
    two.write_bytes(contents[0])
    with replicad.open(tmp_path / "db", options) as database:
        for key, path in ((b"a-07", one), (b"b-07", two)):
            with pytest.raises(CorruptionError, match="this is another table") as caught:
                database.get(key)
            assert caught.value.path == path


def test_a_block_in_another_place_is_damage() -> None:
    """Whole blocks that change places, within a table or between two, have the right bytes."""
    sealed, handle = seal_block(b"a" * 100, ID, 4096, compress=False)
    assert kernels.open_block(sealed, ID, *handle) == (b"a" * 100, False)
    for table_id, offset in ((ID, 8192), (OTHER, 4096)):
        moved, place = seal_block(b"b" * 100, table_id, offset, compress=False)
        assert kernels.open_block(moved, table_id, *place) == (b"b" * 100, False)
        with pytest.raises(CorruptionError, match="block checksum"):
            kernels.open_block(moved, ID, *handle)
