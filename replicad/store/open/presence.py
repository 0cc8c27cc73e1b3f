"""Whether the files of an open database are still where they belong.

An open file outlives its name: after `rm -rf`, an unmount, or another directory put in place, writes and
syncs go on succeeding, into files that nobody will find again. So somebody has to look.
"""

from __future__ import annotations

from pathlib import Path

from replicad.store.core import Core
from replicad.store.writable_core import WritableCore


def what_is_gone(core: Core) -> str | None:
    """What is missing or another one, in words; None when nothing is."""
    fs = core.env.fs
    if isinstance(core, WritableCore) and not core.lock.is_in_place():
        return "its lock file"
    if not fs.exists(core.path / "CURRENT"):
        return "its CURRENT file"
    segment = _newest_segment(core)
    if segment is not None and not fs.exists(segment) and segment == _newest_segment(core):
        return f"the log segment {segment.name}"
    return None


def _newest_segment(core: Core) -> Path | None:
    segments = core.catalog.segments()
    return segments[-1].path if segments else None
