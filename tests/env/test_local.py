"""The machine's own file system."""

from __future__ import annotations

from pathlib import Path

from replicad.env import LocalFileSystem
from replicad.env.local import LocalAppendFile


class Recorded(LocalFileSystem):
    def __init__(self) -> None:
        self.synced: list[Path] = []

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        self.synced.append(path)


def test_the_name_of_a_directory_that_is_there_becomes_durable(tmp_path: Path) -> None:
    """A kill may have come between the making of the last directory and the sync of its name."""
    (tmp_path / "made").mkdir()
    fs = Recorded()
    fs.make_directories(tmp_path / "made" / "a" / "b")
    assert fs.synced == [tmp_path, tmp_path / "made", tmp_path / "made" / "a"]
    fs.make_directories(tmp_path / "made")
    assert fs.synced[3:] == [tmp_path]


def test_a_file_that_syncs_otherwise_shows_no_descriptor(tmp_path: Path) -> None:
    """Whoever syncs the descriptor would go by what the file does."""

    class Counting(LocalAppendFile):
        def sync(self) -> None:
            raise AssertionError

    plain, counting = LocalAppendFile(tmp_path / "plain"), Counting(tmp_path / "counting")
    assert plain.descriptor is not None and counting.descriptor is None
    plain.close()
    counting.close()
