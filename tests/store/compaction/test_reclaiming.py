"""What `compact` gives back that snapshots needed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad.store.database import Database
from tests.support.stores.small import fill, small_options


def remove_all(db: Database) -> None:
    for number in range(1000):
        db.delete(b"key-%06d" % number)


def replace_all(db: Database) -> None:
    fill(db, 1000, value=b"new")


@pytest.mark.parametrize("reopen", [False, True])
@pytest.mark.parametrize(("change", "rows"), [(remove_all, 0), (replace_all, 1000)])
def test_what_a_snapshot_kept(
    tmp_path: Path, change: Callable[[replicad.Database], None], rows: int, reopen: bool
) -> None:
    """Old versions and deletions go when the snapshot is closed, also from the lowest level, also later."""
    db = replicad.open(tmp_path / "db", small_options())
    fill(db, 1000)
    snapshot = db.snapshot()
    change(db)
    db.compact()
    kept = {path.name for path in db.path.glob("*.sst")}
    assert db.stats()["table_entries"] == 2000
    db.compact()
    assert {path.name for path in db.path.glob("*.sst")} == kept
    assert sum(1 for _ in snapshot.scan()) == 1000
    snapshot.close()
    if reopen:
        db.close()
        db = replicad.open(tmp_path / "db", small_options())
    db.compact()
    assert db.stats()["table_entries"] == rows
    assert sum(1 for _ in db.scan()) == rows
    kept = {path.name for path in db.path.glob("*.sst")}
    db.compact()
    assert {path.name for path in db.path.glob("*.sst")} == kept
    db.close()
