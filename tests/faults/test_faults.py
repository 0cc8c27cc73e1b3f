"""A slice of `make faults`: some calls of each scripted run fail, in every way in which they can."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from replicad.env import LocalFileSystem
from tests.faults import interrupt
from tests.faults.every import SCRIPTS, calls, plans, play
from tests.faults.plan import Plan
from tests.support.files.memory_filesystem import MemoryFileSystem

pytestmark = pytest.mark.long

EVERY = {"store": 7, "backup": 19, "restore": 29, "replica": 19, "rejoin": 23}


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_error_or_a_success_never_a_lie(script: str) -> None:
    """What was acknowledged is there, what was refused is not, and a full disk heals."""
    slice = plans(script, EVERY[script])
    wrong = {str(plan): found for plan in slice if (found := play(plan)) is not None}
    assert not wrong


@pytest.mark.parametrize("durability", interrupt.DURABILITIES)
@pytest.mark.parametrize("scenario", interrupt.SCENARIOS)
def test_an_exception_at_any_bytecode_splits_nothing(scenario: str, durability: str) -> None:
    """A slice of the bytecodes of each call: afterwards everything is right, and the next write works."""
    count = interrupt.bytecodes(scenario, durability)
    each = interrupt.moments(scenario, durability, max(1, count // 7), first=3)
    assert [wrong for moment in each if (wrong := interrupt.play(moment)) is not None] == []


def test_a_sync_that_fails_in_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge catches a store that acknowledges although its sync failed."""
    real = MemoryFileSystem.sync_inode

    def silent(fs: MemoryFileSystem, path: Path, inode: object) -> None:
        try:
            real(fs, path, inode)  # type: ignore[arg-type]
        except OSError:
            pass

    syncs = [number for number, call in enumerate(calls("store", "sync")) if call == "sync"]
    monkeypatch.setattr(MemoryFileSystem, "sync_inode", silent)
    assert any(play(Plan("store", "sync", number, "EIO", "once")) is not None for number in syncs)


def test_a_short_write_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take less than it is given: the rest follows, or the append fails."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    file = LocalFileSystem().create(tmp_path / "f")
    file.append(b"0123456789")
    assert ((tmp_path / "f").read_bytes(), file.size) == (b"0123456789", 10)

    def full(data: bytes) -> int:
        if (tmp_path / "f").stat().st_size > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        return some(data)

    some = file.write
    monkeypatch.setattr(file, "write", full)
    with pytest.raises(OSError):
        file.append(b"abcdefghij")
    assert ((tmp_path / "f").stat().st_size, file.size) == (13, 10)
    file.discard_tail()
    assert (tmp_path / "f").read_bytes() == b"0123456789"
