"""A bar on a terminal: bytes, files, rate and what is left. Elsewhere nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from replicad.backup.progress import Progress

Show = Callable[[Progress], None]


@contextlib.contextmanager
def bar(what: str) -> Iterator[Show | None]:
    """What to call with each progress; None when standard error is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[files]}"),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None, files="")

        def show(progress: Progress) -> None:
            shown.update(
                task,
                total=progress.bytes_total,
                completed=progress.bytes_done,
                files=f"{progress.files_done}/{progress.files_total} files",
            )

        yield show
