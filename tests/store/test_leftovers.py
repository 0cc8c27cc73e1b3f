"""What opening removes: what the store itself left half made, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import replicad
from replicad.store.database import open_database
from replicad.store.wal.recovery import TORN_KEPT
from tests.support.stores.small import as_after_kill, fill, small_options


@pytest.mark.parametrize(
    ("name", "goes"),
    [
        ("999999.sst", True),
        ("CURRENT.tmp", True),
        ("OPTIONS-000009.toml.tmp", True),
        ("wal/0000000001-00000000000000000009.log.tmp", True),
        ("archive/0000000001-00000000000000000009.log.tmp", True),
        ("customers.sst", False),
        ("notes.tmp", False),
        ("wal/notes.tmp", False),
        ("archive/999999.sst", False),
    ],
)
def test_only_its_own_names_go(tmp_path: Path, name: str, goes: bool) -> None:
    """Tables that the manifest does not name and staged files go; a stranger's files stay as they are."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 10)
    path = tmp_path / "db" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"left")
    with replicad.open(tmp_path / "db", small_options()) as database:
        assert path.exists() is not goes
        assert sum(1 for _ in database.scan()) == 10


def test_torn_tails_do_not_pile_up(tmp_path: Path) -> None:
    """The tail that was cut last is kept, and a few before it."""
    path = tmp_path / "db"
    replicad.open(path, small_options()).close()
    for turn in range(TORN_KEPT + 3):
        with open_database(path, small_options()) as database:
            fill(database, 3, start=turn * 3)
            database.wait_durable(turn * 3 + 3)
            left = as_after_kill(path, tmp_path / f"left-{turn}")
        segment = max((left / "wal").glob("*.log"))
        with segment.open("ab") as file:
            file.write(b"torn-%d" % turn)
        path = left
    with open_database(path, small_options()) as database:
        assert database.notes and sum(1 for _ in database.scan()) == (TORN_KEPT + 3) * 3
    kept = sorted((path / "wal").glob("*.torn"), key=lambda file: file.read_bytes())
    assert len(kept) == TORN_KEPT + 1
    assert kept[-1].read_bytes() == b"torn-%d" % (TORN_KEPT + 2)
