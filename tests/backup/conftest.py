"""A small database, and a directory for its backups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import replicad
from tests.support.stores.small import fill, small_options


@pytest.fixture
def database(tmp_path: Path) -> Iterator[replicad.Database]:
    """With some thousand keys in several tables, and some in the log alone."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 1500)
        database.compact()
        fill(database, 100, start=1500)
        yield database


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[replicad.BackupEngine]:
    with replicad.BackupEngine(tmp_path / "backups") as engine:
        yield engine
