"""What a later release wrote or says is refused; the message says what it needs, and nothing is changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import replicad
from replicad import kernels
from replicad.env import Env
from replicad.errors import NewerFormatError
from replicad.state.node import NodeState
from replicad.store.copies.checkpoint import install
from replicad.store.wal.segment import HEADER_BYTES
from replicad.version import VERSION
from tests.support.waiting import eventually
from tests.upgrade.builds import Build, this_build
from tests.upgrade.directories import contents
from tests.upgrade.newer import MODULES, RELEASE
from tests.upgrade.nodes import Node

NEWER = (sys.executable, "-m", "tests.upgrade.newer")


def written(kind: str, directory: Path) -> Path:
    subprocess.run([*NEWER, kind, str(directory)], check=True)
    return directory


def advice(directory: Path) -> str:
    return (
        f"Nothing was changed. Open it with replicad {RELEASE}, which opened {directory} last, or restore a "
        f"backup that was made before the upgrade into another directory"
    )


@pytest.mark.parametrize("kind", MODULES)
def test_a_database_of_a_later_release_is_refused_and_stays_as_it_is(kind: str, tmp_path: Path) -> None:
    """The message names the file, its format and version, and the release that reads it; no file changes."""
    directory = written(kind, tmp_path / "data")
    pattern = {
        "table": "*.sst",
        "log segment": "wal/*.log",
        "manifest": "MANIFEST-*",
        "options file": "OPTIONS-*.toml",
    }
    before = contents(directory, with_locks=True)
    files = {str(path) for path in directory.glob(pattern[kind])}

    with pytest.raises(NewerFormatError) as refusal:
        replicad.open(directory)
    file, _, rest = str(refusal.value).partition(": ")
    assert file in files
    assert rest == (
        f"{kind} of version 2; this program, replicad {VERSION}, reads up to 1. {advice(directory)}"
    )
    assert contents(directory, with_locks=True) == before


def test_a_frame_of_a_later_release_is_refused_and_the_directory_stays_as_it_is(tmp_path: Path) -> None:
    """A flag that this release does not know, in a log segment whose version it does know."""
    directory = tmp_path / "data"
    subprocess.run([*NEWER, "none", str(directory)], check=True)
    (segment,) = (directory / "wal").glob("*.log")
    content = bytearray(segment.read_bytes())
    content[HEADER_BYTES + 20] = 1
    checked = bytes(content[16:32]) + content[HEADER_BYTES + 4 : HEADER_BYTES + 56]
    content[HEADER_BYTES : HEADER_BYTES + 4] = kernels.crc32c(checked).to_bytes(4, "little")
    segment.write_bytes(content)

    before = contents(directory, with_locks=True)
    with pytest.raises(NewerFormatError) as refusal:
        replicad.open(directory)
    said = str(refusal.value)
    assert said.startswith(f"{segment}: offset {HEADER_BYTES}: a frame that this program does not read")
    assert said.endswith(advice(directory))
    assert contents(directory, with_locks=True) == before


@pytest.mark.parametrize("kind", ["table", "options file"])
def test_a_node_refuses_it_before_it_touches_its_state(kind: str, tmp_path: Path) -> None:
    """The daemon ends with 78, which systemd does not restart, says why, and makes no file."""
    directory = written(kind, tmp_path / "data")
    before = contents(directory, with_locks=True)
    done = subprocess.run(
        [*this_build().program, "primary", "--data", str(directory), "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert f"{kind} of version 2" in done.stderr and advice(directory) in done.stderr
    assert contents(directory, with_locks=True) == before


def test_the_state_of_a_later_release_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    """Whoever opens it, to write or to look, learns which release opened it last."""
    directory = written("node state", tmp_path / "data")
    before = contents(directory, with_locks=True)
    said = (
        f"{directory}/state/data.mdb: node state of version 2; this program, replicad {VERSION}, reads up to "
        f"1. Nothing was changed. Open it with replicad {RELEASE}, which opened it last; a replica may also "
        f"begin again in an empty directory"
    )
    with pytest.raises(NewerFormatError) as refusal:
        NodeState(Env(), directory)
    assert str(refusal.value) == said
    assert contents(directory, with_locks=True) == before
    with pytest.raises(NewerFormatError) as refusal:
        NodeState.read(directory)
    assert str(refusal.value) == said


def test_backups_of_a_later_release_are_refused_and_stay_as_they_are(tmp_path: Path) -> None:
    """A restore says which document is newer and makes nothing; a new backup leaves it as it is."""
    directory = written("backup", tmp_path)
    target = directory / "backups"
    before = contents(target, with_locks=True)
    for arguments in (["backup", "restore", str(target), str(tmp_path / "restored")],
                      ["backup", "list", str(target)]):  # fmt: skip
        done = subprocess.run(
            [*this_build().program, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        said = done.stdout + done.stderr
        assert "document of version 2; this program, replicad" in said, said
        assert "meta/" in said
    assert contents(target, with_locks=True) == before
    # A backup of this release goes beside it, and takes nothing away but the catalog, which is made anew.
    with replicad.open(tmp_path / "own") as database:
        database.put(b"key", b"value")
        replicad.BackupEngine(target).create_backup(database)
    now = contents(target, with_locks=True)
    assert {name: digest for name, digest in before.items() if now.get(name) != digest}.keys() <= {
        "meta/catalog.json"
    }
    assert not (tmp_path / "restored" / "CURRENT").exists()


def test_a_copy_of_a_later_release_does_not_replace_data_that_can_be_read(tmp_path: Path) -> None:
    """A replica that fetched such a copy refuses it by the file's name and keeps what it has."""
    copy = written("table", tmp_path / "copy")
    with replicad.open(tmp_path / "data") as database:
        database.put(b"key", b"value")
    before = contents(tmp_path / "data", with_locks=True)
    with pytest.raises(NewerFormatError, match=r"\.sst: table of version 2"):
        install(Env(), copy, tmp_path / "data")
    assert contents(tmp_path / "data", with_locks=True) == before


@pytest.mark.parametrize("newer", ["primary", "replica"])
def test_nodes_without_a_common_protocol_part_with_the_same_words(newer: str, tmp_path: Path) -> None:
    """HELLO, in both directions: both logs name both protocols, both releases, and which node to upgrade."""
    builds = {True: Build("newer", (*NEWER, "wire")), False: this_build()}
    first = Node(tmp_path, "first", "primary")
    second = Node(tmp_path, "second", "replica")
    second.primary = first
    ours, theirs = ("2", "1") if newer == "primary" else ("1", "2")
    releases = (RELEASE, VERSION) if newer == "primary" else (VERSION, RELEASE)
    older = "the replica" if newer == "primary" else "this node"
    said = (
        f"this node (replicad/{releases[0]}) speaks protocol {ours}, the replica (replicad/{releases[1]}) "
        f"{theirs}: upgrade {older} first, to a release that speaks both"
    )
    try:
        first.start(builds[newer == "primary"])
        second.spawn(builds[newer == "replica"])
        for node in (first, second):
            eventually(lambda node=node: said in node.log.read_text())  # type: ignore[misc]
    finally:
        first.end()
        second.end()
