"""What older builds left on disk, checked in, opens, follows, verifies and restores.

`python -m tests.upgrade.sample REVISION` makes one more of the archives.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

import replicad
from replicad.cli.demonstration.ports import HOST
from replicad.store.directory.options_file import RELEASE
from tests.support.waiting import eventually
from tests.upgrade.builds import this_build
from tests.upgrade.nodes import Node
from tests.upgrade.sample import SAMPLES, pair

ARCHIVES = sorted(SAMPLES.glob("*.tar.gz"))


def unpacked(archive: Path, directory: Path) -> dict[str, Any]:
    """What the archive says of itself."""
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    expected: dict[str, Any] = json.loads((directory / "expected.json").read_text())
    return expected


def command(*arguments: str) -> str:
    done = subprocess.run(
        [*this_build().program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def test_nodes_of_an_older_build_go_on_in_this_one(archive: Path, tmp_path: Path) -> None:
    """Both directories open as they are, the replica follows, and `verify` finds them equal after writes."""
    expected = unpacked(archive, tmp_path)
    first, second = Node(tmp_path, "first", "primary"), Node(tmp_path, "second", "replica")
    second.primary = first
    try:
        first.start(this_build())
        second.start(this_build())
        with first.client() as client:
            assert client.execute_command("REPLICAD.DIGEST")[0] >= expected["sequence"]
            for number in range(expected["keys"]):
                key, value = pair(number)
                assert client.get(key) == value
            client.set(b"written since", b"1")
        eventually(lambda: second.is_role("replica"))
        command("verify", f"{HOST}:{first.port}", f"{HOST}:{second.port}")
        with second.client() as client:
            assert client.get(b"written since") == b"1"
        second.stop()
        first.stop()
    finally:
        first.end()
        second.end()
    # From now on the directory says which release it needs.
    (options,) = (tmp_path / "first").glob("OPTIONS-*.toml")
    assert f"# format 1, replicad {RELEASE}\n" in options.read_text()


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def test_backups_of_an_older_build_verify_and_restore(archive: Path, tmp_path: Path) -> None:
    """The last backup opens with the keys that were there when it was made."""
    expected = unpacked(archive, tmp_path)
    target = str(tmp_path / "backups")
    command("backup", "verify", target)
    command("backup", "restore", target, str(tmp_path / "restored"))
    with replicad.open(tmp_path / "restored") as database:
        assert dict(database.scan()) == dict(pair(number) for number in range(expected["backed_up"]))
