"""Saving a tail that another history replaces, and cutting it off."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import replicad
from replicad.cli.explain.kinds import explain
from replicad.env import Env
from replicad.errors import DivergedError, InvalidArgument, LogGoneError
from replicad.store.database import open_database
from replicad.store.open.rewind import cut_back
from replicad.types import ORIGIN, HistoryHash, Position
from tests.store.test_replaced_log import Killed
from tests.support.files.power_loss import MortalFileSystem
from tests.support.stores.small import fill, small_options


def test_the_tail_is_saved_and_cut_at_any_batch(tmp_path: Path) -> None:
    """Whatever the position, in whichever segment: what opens ends there, and the file holds the rest."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    options = small_options(memtable_bytes=8 << 20, segment_bytes=4096)
    for turn in range(12):
        path = tmp_path / f"db-{turn}"
        with replicad.open(path, options) as database:
            fill(database, 200)
            database.wait_durable(200)
            at = rng.choice([0, 1, 199, 200, *rng.sample(range(200), 4)])
            position = database.position_at(at) if at else replicad.types.ORIGIN
            assert position is not None
            segments = len(database.get_sorted_wal_files())
            assert segments > 3
            saved = database.save_log(position, tmp_path / "discarded" / str(turn))
            assert database.save_log(position, tmp_path / "discarded" / str(turn)) == saved
            assert saved.batches == 200 - at
            assert saved.last == database.position
            everything = list(database.scan())
        cut_back(Env(), path, options, position)
        with open_database(path, options, role="replica") as again:
            assert again.durable_position == position
            assert list(again.scan()) == everything[:at]
            assert again.notes == []
            for file in saved.files:
                frames = file.read_bytes()[64:]
                again.apply_frames(frames)
            assert list(again.scan()) == everything


def test_what_tables_hold_is_not_cut(tmp_path: Path) -> None:
    """A position before the tables' end, or one of another history, is refused and changes nothing."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 10)
        database.flush()
        fill(database, 10, start=10)
        database.wait_durable(20)
        early, late = database.position_at(5), database.position_at(15)
        assert early is not None
        assert late is not None
        last = database.position
    other = Position(late.epoch, late.sequence, HistoryHash(late.history_hash ^ 1))
    with pytest.raises(InvalidArgument, match="beyond"):
        cut_back(Env(), tmp_path / "db", small_options(), early)
    with pytest.raises(DivergedError):
        cut_back(Env(), tmp_path / "db", small_options(), other)
    with replicad.open(tmp_path / "db", small_options()) as database:
        assert database.position == last
        with pytest.raises(DivergedError):
            database.save_log(other, tmp_path / "discarded")


def test_a_tail_that_the_log_lost_is_not_half_saved(tmp_path: Path) -> None:
    """Retention may have been faster: that is an error, never a file with a gap."""
    options = small_options(segment_bytes=4096, log_retention_bytes=0)
    with replicad.open(tmp_path / "db", options) as database:
        fill(database, 10)
        database.wait_durable(10)
        early = database.position_at(5)
        assert early is not None
        fill(database, 300, start=10)
        database.flush()
        fill(database, 300, start=310)
        database.flush()
        with pytest.raises(LogGoneError):
            database.save_log(early, tmp_path / "discarded")


def test_inspect_reads_a_saved_tail(tmp_path: Path) -> None:
    """The file says which database, which batches, and what is in them."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 10)
        database.wait_durable(10)
        fork = database.position_at(4)
        assert fork is not None
        (file,) = database.save_log(fork, tmp_path / "discarded").files
    explained = explain(file)
    assert explained.kind == "log segment"
    assert explained.damage is None
    assert len(explained.parts) == 6


def test_a_saved_tail_survives_a_loss_of_power(tmp_path: Path) -> None:
    """Its only other copy is cut off next: name and content are durable before `save_log` returns."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 10)
    fs = MortalFileSystem()
    with open_database(tmp_path / "db", small_options(), env=Env(fs=fs)) as database:
        (file,) = database.save_log(ORIGIN, tmp_path / "discarded").files
    left = fs.left_by_power_loss(tmp_path / "discarded", tmp_path / "left")
    assert (left / file.relative_to(tmp_path / "discarded")).read_bytes() == file.read_bytes()


def test_a_tail_is_cut_off_into_a_new_file(tmp_path: Path) -> None:
    """A copy may have the segment as a hard link: what it has stays as it is."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 10)
        database.wait_durable(10)
        position = database.position_at(5)
        assert position is not None
    (segment,) = (tmp_path / "db" / "wal").glob("*.log")
    (tmp_path / "linked.log").hardlink_to(segment)
    before = segment.read_bytes()
    cut_back(Env(), tmp_path / "db", small_options(), position)
    assert segment.stat().st_size < len(before)
    assert (tmp_path / "linked.log").read_bytes() == before


@pytest.mark.parametrize("kill_at", range(4))
def test_a_kill_while_segments_go_leaves_no_gap(tmp_path: Path, kill_at: int) -> None:
    """The manifest no longer wants what goes, and the newest goes first: what is left opens as it is."""
    options = small_options(memtable_bytes=8 << 20, segment_bytes=4096)
    with replicad.open(tmp_path / "db", options) as database:
        fill(database, 200)
        database.wait_durable(200)
        position = database.position_at(40)
        assert position is not None
        ends = {file.last_sequence for file in database.get_sorted_wal_files()}
    with pytest.raises(KeyboardInterrupt):
        cut_back(Env(fs=Killed(kill_at)), tmp_path / "db", options, position)
    with open_database(tmp_path / "db", options, role="replica") as again:
        assert again.notes == [] and again.position.sequence in ends
    cut_back(Env(), tmp_path / "db", options, position)
    with open_database(tmp_path / "db", options, role="replica") as again:
        assert again.position == position
