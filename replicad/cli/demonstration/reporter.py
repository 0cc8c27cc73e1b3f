"""What the person sees meanwhile: progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from replicad.units import show_seconds, show_size

PLAIN_SECONDS = 2.0


class Stage(Protocol):
    """A piece of work whose size is known, at least after a while."""

    def advance(self, amount: float) -> None: ...
    def update(self, completed: float, total: float) -> None: ...


class Reporter:
    """Says what happens, in order. One thread."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One event, with the seconds since the beginning."""
        self.console.print(f"[{self.seconds:5.1f}s] {text}", markup=False, highlight=False, soft_wrap=True)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started

    @contextmanager
    def stage(self, title: str, total: float, *, size: bool) -> Iterator[Stage]:
        """Shows progress while the block runs (`size` counts bytes), then says what it took."""
        begun = time.monotonic()
        stage: _Bar | _Lines
        if self.console.is_terminal:
            columns = (
                (DownloadColumn(binary_units=True), TransferSpeedColumn())
                if size
                else (MofNCompleteColumn(),)
            )
            bar = Progress(
                TextColumn("         {task.description}"),
                BarColumn(),
                *columns,
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            with bar:
                stage = _Bar(bar, bar.add_task(title, total=total))
                yield stage
        else:
            stage = _Lines(self, title, total, size)
            yield stage
        took = time.monotonic() - begun
        done = stage.completed
        rate = f"{show_size(done / max(took, 1e-6))}/s" if size else f"{done / max(took, 1e-6):.0f}/s"
        amount = show_size(done) if size else f"{done:.0f}"
        self.say(f"{title}: {amount} in {show_seconds(took)}, {rate}")


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    @property
    def completed(self) -> float:
        return self._progress.tasks[0].completed

    def advance(self, amount: float) -> None:
        self._progress.advance(self._task, amount)

    def update(self, completed: float, total: float) -> None:
        self._progress.update(self._task, completed=completed, total=total)


class _Lines:
    """A line now and then, for logs."""

    def __init__(self, reporter: Reporter, title: str, total: float, size: bool) -> None:
        self.completed = 0.0
        self._reporter = reporter
        self._title = title
        self._total = total
        self._size = size
        self._begun = self._said = time.monotonic()

    def advance(self, amount: float) -> None:
        self.update(self.completed + amount, self._total)

    def update(self, completed: float, total: float) -> None:
        self.completed, self._total = completed, total
        now = time.monotonic()
        if now - self._said < PLAIN_SECONDS or not completed:
            return
        self._said = now
        rate = completed / (now - self._begun)
        show = show_size if self._size else "{:.0f}".format
        left = show_seconds(max(0.0, total - completed) / rate)
        self._reporter.say(f"{self._title}: {show(completed)} of {show(total)}, {show(rate)}/s, {left} left")
