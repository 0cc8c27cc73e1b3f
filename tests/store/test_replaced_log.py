"""Log of a history that was replaced or cut back never comes back, wherever a crash falls; and what is
archived is always in tables, whatever became of the node."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

import replicad
from replicad.env import Env, LocalFileSystem
from replicad.store.copies.checkpoint import install
from replicad.store.database import Database, open_database
from replicad.store.manifest.file import load
from replicad.store.open.rewind import cut_back
from replicad.store.wal.catalog import find_segments
from replicad.types import Position
from tests.support.stores.small import as_after_kill, fill, small_options

OPTIONS = small_options(segment_bytes=4096)


class Killed(LocalFileSystem):
    """Ends at the removal of a name, the `at`-th one counted."""

    def __init__(self, at: int) -> None:
        self.left = at

    def unlink(self, path: Path) -> None:
        if path.suffix == ".log":
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
        super().unlink(path)


def check_archive(path: Path) -> None:
    """Archived log is in tables, by the manifest on disk."""
    fs = LocalFileSystem()
    state = load(fs, path)
    segments, passed_over = find_segments(fs, path / "wal", path / "archive", state.database_id, 0.0)
    assert not passed_over
    for segment, following in pairwise([*segments, None]):
        if segment is not None and segment.archived:
            last = following.header.previous.sequence if following else state.flushed.sequence
            assert last <= state.flushed.sequence


def archived(database: Database) -> bool:
    return any(file.archived for file in database.get_sorted_wal_files())


@pytest.mark.parametrize("kill_at", [0, 1, 5, 1000])
def test_a_copy_takes_the_place_of_a_longer_history(tmp_path: Path, kill_at: int) -> None:
    """A kill while the old log is removed: none of it follows the copy, live or archived."""
    with replicad.open(tmp_path / "primary", OPTIONS) as primary:
        fill(primary, 50)
        primary.create_base_copy(tmp_path / "replica")
        primary.create_base_copy(tmp_path / "shipped")
        position = primary.position
    with open_database(tmp_path / "replica", OPTIONS, role="replica") as ahead:
        ahead.promote(b"p" * 16)
        fill(ahead, 300, start=50)
        ahead.flush()
        fill(ahead, 300, start=350)
        ahead.review_retention()
        assert len(ahead.get_sorted_wal_files()) > 8
    with replicad.open(tmp_path / "replica", OPTIONS, read_only=True) as left:
        assert left.latest_sequence > 600
    try:
        install(Env(fs=Killed(kill_at)), tmp_path / "shipped", tmp_path / "replica")
    except KeyboardInterrupt:
        assert list((tmp_path / "replica").glob("*/*.log"))
    with replicad.open(tmp_path / "replica", OPTIONS, read_only=True) as beside:
        assert beside.position == position
    with open_database(tmp_path / "replica", OPTIONS, role="replica") as replica:
        assert replica.position == position
        assert replica.notes == [] and replica.get_sorted_wal_files() == []
        assert sum(1 for _ in replica.scan()) == 50
        replica.promote(b"q" * 16)
        fill(replica, 20, start=1000)
        last = replica.position
    with open_database(tmp_path / "replica", OPTIONS) as again:
        assert again.position == last and again.notes == []
        assert [update.first_sequence for update in again.get_updates_since(51)] == list(range(51, 72))
    check_archive(tmp_path / "replica")


@pytest.mark.parametrize("damaged", [False, True])
def test_a_tail_is_cut_where_the_tables_end(tmp_path: Path, damaged: bool) -> None:
    """Also in the middle of a segment, and also when what tables hold of it is damaged."""
    with open_database(tmp_path / "db", small_options()) as database:
        fill(database, 10)
        database.flush()
        fork = database.flushed_position
        fill(database, 10, start=10)
        database.wait_durable(20)
        assert fork.sequence == 10 and len(database.get_sorted_wal_files()) == 1
    if damaged:
        (segment,) = (tmp_path / "db" / "wal").glob("*.log")
        content = bytearray(segment.read_bytes())
        content[200] ^= 1
        segment.write_bytes(content)
    cut_back(Env(), tmp_path / "db", small_options(), fork)
    with open_database(tmp_path / "db", small_options(), role="replica") as again:
        assert again.durable_position == fork
        assert sum(1 for _ in again.scan()) == 10
    check_archive(tmp_path / "db")


def test_what_is_archived_is_in_tables(tmp_path: Path) -> None:
    """Through promotions, demotions, kills, rewinding and installs, in any order."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    path = tmp_path / "db"
    with open_database(path, OPTIONS) as database:
        fill(database, 100)
        database.demote()
    for turn in range(12):
        with open_database(path, OPTIONS, role="replica") as database:
            database.promote(b"%016d" % turn)
            fill(database, rng.randrange(1, 200), start=rng.randrange(500))
            if rng.random() < 0.7:
                database.flush()
            flushed = database.flushed_position
            fill(database, rng.randrange(1, 200), start=rng.randrange(500))
            database.wait_durable(database.position.sequence)
            end = database.position
            fork = _somewhere(database, rng, flushed, end)
            if rng.random() < 0.3:
                database.create_base_copy(tmp_path / f"copy-{turn}")
            killed = as_after_kill(path, tmp_path / f"killed-{turn}")
            database.demote()
        check_archive(path)
        if rng.random() < 0.5:
            path = killed
            check_archive(path)
        match rng.choice(["install", "cut", "nothing"]):
            case "install" if (tmp_path / f"copy-{turn}").exists():
                install(Env(), tmp_path / f"copy-{turn}", path)
                expected = None
            case "cut" if load(LocalFileSystem(), path).flushed.sequence <= fork.sequence:
                cut_back(Env(), path, OPTIONS, fork)
                expected = fork
            case _:
                expected = end
        check_archive(path)
        with open_database(path, OPTIONS, role="replica") as database:
            assert database.notes == []
            assert expected is None or database.position == expected
        with open_database(path, OPTIONS, role="replica") as database:
            found = [update.position for update in database.get_updates_since(_first(database))]
            assert not found or found[-1] == database.position
        check_archive(path)


def _somewhere(database: Database, rng: random.Random, flushed: Position, end: Position) -> Position:
    position = database.position_at(rng.randint(flushed.sequence, end.sequence))
    assert position is not None
    return position


def _first(database: Database) -> int:
    files = database.get_sorted_wal_files()
    return files[0].first_sequence if files else database.position.sequence + 1
