"""Places that are unlike others: names that are not UTF-8, and mounts that can only be read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
ODD = os.fsdecode(b"odd\xff")


@pytest.fixture
def odd(filled: Path, tmp_path: Path) -> Path:
    """A database in a directory whose name is not UTF-8."""
    return Path(shutil.copytree(filled, tmp_path / ODD))


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A process of its own, whose stdout is what a shell gives it."""
    command = [sys.executable, "-m", "replicad", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=60)


@pytest.mark.parametrize(
    "verb",
    [
        ["status", "{}"],
        ["status", "--json", "{}"],
        ["digest", "{}"],
        ["updates", "{}", "--since", "399"],
        ["inspect", "{}/CURRENT"],
        ["checkpoint", "{}", "{}.copy"],
        ["checkpoint", "--json", "{}", "{}.copy"],
        ["backup", "create", "--data", "{}", "{}.target"],
    ],
)
def test_verbs_work_where_a_name_is_not_utf_8(odd: Path, verb: list[str]) -> None:
    """What stdout cannot say of it is escaped."""
    done = program(*(part.format(odd) for part in verb))
    assert (done.returncode, done.stderr) == (0, "")
    if "--json" in verb:
        assert ODD in json.dumps(json.loads(done.stdout), ensure_ascii=False)


def test_a_backup_of_it_is_listed_verified_and_restored(odd: Path) -> None:
    """Between names that are all of this kind."""
    target, back = f"{odd}.target", f"{odd}.back"
    for verb in (
        ["create", "--data", odd, target],
        ["list", target],
        ["list", "--json", target],
        ["verify", target],
        ["restore", target, back],
    ):
        done = program("backup", *verb)
        assert (done.returncode, done.stderr) == (0, ""), verb
    assert program("digest", back).stdout == program("digest", odd).stdout


@pytest.mark.parametrize("verb", [["init"], ["primary", "--create", "--data"]])
@pytest.mark.parametrize("inside", [False, True])
def test_a_node_refuses_such_a_directory_before_it_makes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: list[str], inside: bool
) -> None:
    """LMDB, which keeps its state, cannot open it; also as the current directory."""
    data = tmp_path / ODD
    if inside:
        data.mkdir()
        monkeypatch.chdir(data)
    done = program(*verb, "." if inside else data)
    assert done.returncode == 78
    assert "must be UTF-8" in done.stderr.splitlines()[-1]
    assert not list(data.iterdir()) if inside else not data.exists()


@pytest.fixture
def read_only(filled: Path, tmp_path: Path) -> Iterator[Path]:
    """A database on a mount that can only be read; skips where this process may not make one."""
    directory = tmp_path / "mount"
    directory.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], capture_output=True).returncode:
        pytest.skip("needs to mount a file system")
    try:
        shutil.copytree(filled, directory / "db")
        subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
        yield directory / "db"
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_a_read_only_mount_is_backed_up_and_the_checkpoint_says_so(
    run: Run, read_only: Path, tmp_path: Path
) -> None:
    """The refusal of one names the other, whose result is what is there."""
    code, _, err = run("checkpoint", read_only, tmp_path / "copy")
    assert code == 1
    assert "mounted read-only" in err
    assert f"replicad backup create --data {read_only} TARGET" in err
    assert run("backup", "create", "--data", read_only, tmp_path / "target").code == 0
    assert run("backup", "restore", tmp_path / "target", tmp_path / "back").code == 0
    assert run("digest", tmp_path / "back").out == run("digest", read_only).out
