"""How large the tables of a merge become."""

from __future__ import annotations

from pathlib import Path

import pytest

import replicad
from tests.support.stores.small import fill, small_options


@pytest.mark.parametrize("table_bytes", [16 * 1024, 64 * 1024])
def test_tables_end_near_table_bytes_however_few_these_are(tmp_path: Path, table_bytes: int) -> None:
    """Tables end near `table_bytes` however few these are, so that a level has several."""
    options = small_options(table_bytes=table_bytes, compression="none")
    with replicad.open(tmp_path / "db", options) as db:
        fill(db, 3000)
        db.compact()
        sizes = [path.stat().st_size for path in (tmp_path / "db").glob("*.sst")]
        assert len(sizes) == db.stats()["tables"] > 5
        assert max(sizes) < 1.5 * table_bytes
