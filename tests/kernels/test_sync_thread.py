"""SyncThread: fdatasync in a thread that is lent to it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicad import kernels
from tests.support.waiting import eventually


class Lent:
    """A SyncThread with its bell and the thread that serves it."""

    def __init__(self) -> None:
        self.bell = os.eventfd(0, os.EFD_NONBLOCK)
        self.sync = kernels.SyncThread(self.bell)
        self.thread = threading.Thread(target=self.sync.serve)
        self.thread.start()

    def rung(self) -> bool:
        try:
            return os.eventfd_read(self.bell) > 0
        except BlockingIOError:
            return False


@pytest.fixture
def lent() -> Iterator[Lent]:
    lent = Lent()
    yield lent
    lent.sync.close()
    lent.thread.join(20)
    assert not lent.thread.is_alive()
    os.close(lent.bell)


def test_a_sync_rings_when_it_is_over(lent: Lent, tmp_path: Path) -> None:
    """And the next one may begin then."""
    with open(tmp_path / "file", "wb") as file:
        for _ in range(3):
            assert lent.sync.begin(file.fileno())
            eventually(lent.rung)
            assert not lent.sync.running and lent.sync.error == 0


def test_none_begins_after_one_that_failed(lent: Lent, tmp_path: Path) -> None:
    """The next one would say that all is well."""
    reading, writing = os.pipe()
    assert lent.sync.begin(writing)
    eventually(lent.rung)
    assert lent.sync.error == errno.EINVAL
    with open(tmp_path / "file", "wb") as file:
        assert not lent.sync.begin(file.fileno())
    assert lent.sync.error == errno.EINVAL
    os.close(reading)
    os.close(writing)


def test_one_at_a_time(tmp_path: Path) -> None:
    """Nobody serves it here, so the first one goes on."""
    sync = kernels.SyncThread(os.eventfd(0))
    with open(tmp_path / "file", "wb") as file:
        assert sync.begin(file.fileno())
        assert sync.running
        assert not sync.begin(file.fileno())
