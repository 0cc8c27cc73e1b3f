"""Work that runs apart ends for whoever waits for it, also where there is no memory for its thread."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Any

import pytest

from replicad.env import apart

Start = Callable[..., int]


class Starts:
    """Stands in for `start_new_thread`: the first `lost` threads end before their first step."""

    def __init__(self, lost: int) -> None:
        self.lost = lost
        self.count = 0
        self._start: Start = _thread.start_new_thread

    def __call__(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> int:
        self.count += 1
        return self._start((lambda: None) if self.count <= self.lost else function, arguments)


def lose(monkeypatch: pytest.MonkeyPatch, lost: int) -> Starts:
    starts = Starts(lost)
    monkeypatch.setattr(_thread, "start_new_thread", starts)
    monkeypatch.setattr(apart, "BEGIN_SECONDS", 0.01)
    return starts


def test_work_whose_thread_never_began_is_given_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job runs, once, though the first thread ended before it could say that it had begun."""
    starts = lose(monkeypatch, 1)
    monkeypatch.setattr(apart, "BEGIN_TRIES", 100)  # However busy the machine is.
    runs: list[int] = []
    apart.apart(lambda: runs.append(1))
    assert runs == [1]
    assert starts.count > 1


def test_work_that_no_thread_begins_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller hears that there is no memory, and waits no longer."""
    lose(monkeypatch, apart.BEGIN_TRIES)
    with pytest.raises(MemoryError, match="left undone"):
        apart.apart(lambda: None)


class Full:
    """Stands in for what a thread remembers: there is no memory to remember anything."""

    def __setattr__(self, name: str, value: object) -> None:
        raise MemoryError


def test_a_thread_without_memory_tells_the_one_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails between the thread's beginning and the job's is the caller's error."""
    monkeypatch.setattr(apart, "_here", Full())
    with pytest.raises(MemoryError):
        apart.apart(lambda: None)


class Unforgetting:
    """Stands in for `threading` where there is no memory to tidy up after a thread."""

    @property
    def _active(self) -> dict[int, object]:
        raise MemoryError

    @staticmethod
    def get_ident() -> int:
        return 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_fails_after_the_work_does_not_keep_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is there, whatever becomes of the thread afterwards."""
    monkeypatch.setattr(apart, "threading", Unforgetting())
    assert apart.apart(lambda: 7) == 7
