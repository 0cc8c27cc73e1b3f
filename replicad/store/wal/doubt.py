"""Log in doubt: after a failed sync the kernel may hold its pages as clean, so that the next sync writes
nothing and says that all is well.

A mark in the log directory says so to the next opening, which writes that log once more, to new files. The
mark itself needs no sync: it is needed just as long as the page cache of which it speaks.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from replicad.env import FileSystem
from replicad.env.atomic import rewrite_file

MARK = "SYNC-FAILED"


def doubt(fs: FileSystem, live: Path) -> None:
    """Leaves the mark, if the disk lets us; a failure is being reported already."""
    with suppress(OSError):
        fs.create(live / MARK).close()


def is_doubted(fs: FileSystem, live: Path) -> bool:
    """Whether a sync of this log has failed, so that some of it may be lost without a crash."""
    return fs.exists(live / MARK)


def sync_log(fs: FileSystem, paths: Iterable[Path], live: Path) -> None:
    """Makes the content and names of these segments durable, whatever syncs of them said before."""
    doubted = is_doubted(fs, live)
    try:
        for path in paths:
            if doubted:
                rewrite_file(fs, path)
            else:
                fs.sync_file(path)
        fs.sync_directory(live)
    except OSError:
        doubt(fs, live)
        raise
    if doubted:
        fs.unlink(live / MARK)
