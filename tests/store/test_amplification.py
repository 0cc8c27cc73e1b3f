"""The three ratios, and where `stats` gets their terms from."""

from __future__ import annotations

from pathlib import Path

import pytest

import replicad
from replicad.store.amplification import read_amplification, space_amplification, write_amplification
from tests.support.stores.small import fill, small_options


def test_without_data_there_are_no_ratios() -> None:
    """Without data there are no ratios to divide."""
    empty: list[list[object]] = [[] for _ in range(7)]
    assert write_amplification(0, 0, 0) is None
    assert space_amplification(empty) is None  # type: ignore[arg-type]
    assert read_amplification(empty, 0) == 0  # type: ignore[arg-type]
    assert write_amplification(100, 60, 140) == 2.0


def test_the_ratios_show_what_overwriting_costs(tmp_path: Path) -> None:
    """Overwriting costs writes and space, which the ratios show; a compacted tree is one sorted run."""
    with replicad.open(tmp_path / "db", small_options(compression="none")) as db:
        fill(db, 300)
        stats = db.stats()
        assert stats["appended_bytes"] >= 300 * 110
        assert stats["amplification"]["read"] >= 1
        db.compact()
        once = db.stats()["amplification"]
        assert once["read"] == 1
        assert once["space"] == pytest.approx(1.0)
        fill(db, 300, value=b"w" * 100)
        db.flush()
        db.compact()
        twice = db.stats()["amplification"]
        assert twice["write"] > 1.0


def test_log_bytes_count_across_rotation(tmp_path: Path) -> None:
    """What was appended is counted through all segments, and since opening only."""
    with replicad.open(tmp_path / "db", small_options()) as db:
        fill(db, 2000)
        db.wait_durable(2000)
        files = db.get_sorted_wal_files()
        assert len(files) > 3
        assert db.stats()["appended_bytes"] == sum(file.size_bytes - 64 for file in files)
    with replicad.open(tmp_path / "db", small_options()) as db:
        assert db.stats()["appended_bytes"] == 0
