"""Where a primary makes a database, and where an empty directory is a disk that is not mounted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from replicad.cli.main import main
from replicad.daemon.process.new_directory import check_gone, check_new
from replicad.env import Env
from replicad.errors import ConfigError
from tests.support.nodes.programs import again, primary, started


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    """So is one with what is not ours; the error names both ways to make a node there."""
    fs = Env().fs
    empty, foreign = tmp_path / "empty", tmp_path / "foreign"
    for directory in (empty, foreign):
        directory.mkdir()
    (foreign / "lost+found").mkdir()
    for directory, what in ((empty, "is empty"), (foreign, r"holds 'lost\+found' and no database")):
        with pytest.raises(ConfigError, match=f"exists and {what}.*replicad init {directory}.*--create"):
            check_new(fs, directory, create=False)
        check_new(fs, directory, create=True)
        assert not (directory / "state").exists()
    check_new(fs, tmp_path / "missing", create=False)


def test_a_directory_that_was_made_for_a_node_is_taken(tmp_path: Path) -> None:
    """By init; which takes no directory that holds anything."""
    data = tmp_path / "data"
    assert main(["init", str(data)]) == 0
    check_new(Env().fs, data, create=False)
    assert main(["init", str(data)]) == 78
    (tmp_path / "other").mkdir()
    assert main(["init", str(tmp_path / "other")]) == 0


async def test_a_primary_whose_data_is_gone_makes_no_new_one(tmp_path: Path) -> None:
    """Its state is there, and says that there was a database; a first start that was cut short had none."""
    async with primary(tmp_path / "p") as node:
        first = node.store.database_id if node.store else None
    for path in (tmp_path / "p").iterdir():
        if path.name != "state":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError, match=r"is not in .* any more"):
        async with again(tmp_path / "p"):
            pass
    assert not (tmp_path / "p" / "CURRENT").exists()
    config = node.config.model_copy(update={"create": True})
    async with started(config) as node:
        assert node.store is not None and node.store.database_id != first
    check_gone(tmp_path, had_data=False, create=False)
