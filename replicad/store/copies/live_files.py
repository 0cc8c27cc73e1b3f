"""The files of an open database, for a program that copies them file by file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from replicad.errors import DiskFullError
from replicad.store.copies.checkpoint import CopyFile
from replicad.store.copies.cut import Cut
from replicad.store.core import Core
from replicad.store.syncer import Syncer
from replicad.store.writable_core import WritableCore
from replicad.types import Position, Sequence


@dataclass(frozen=True, slots=True)
class LogFile:
    """A segment: live or archived. `size_bytes` counts what is durable."""

    path: Path
    first_sequence: Sequence
    last_sequence: Sequence
    size_bytes: int
    archived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFiles:
    """What makes up the database at `position`. Made by `Database.get_live_files`."""

    position: Position
    files: tuple[CopyFile, ...]
    """Tables and options, then the manifest and CURRENT; names are relative to the database's directory."""
    manifest: str
    manifest_bytes: int
    """The manifest grows: a copy takes this many bytes of it."""
    log: tuple[LogFile, ...]
    """Oldest first; a copy takes `size_bytes` of each, into its `wal/`. Empty when tables hold everything."""


def sorted_log_files(core: Core) -> list[LogFile]:
    """Archived and live segments, oldest first: one moment's list, however segments move meanwhile.

    A segment becomes durable before the next one does, so what is read newest first has no gap.
    """
    files = []
    for segment in reversed(core.catalog.segments()):
        path, (size, last_sequence) = segment.path, segment.end
        archived = path.parent == core.catalog.archive
        files.append(LogFile(path, segment.first_sequence, last_sequence, size, archived))
    return files[::-1]


def live_files(core: WritableCore, syncer: Syncer) -> LiveFiles:
    """The current files, flushed or not; holds nothing when it returns."""
    fs = core.env.fs
    with Cut(core, syncer, holder="get_live_files") as cut:
        with core.manifest_lock:
            # The manifest may be ahead of the cut by a flush, so it says itself which tables it needs.
            if not core.manifest.has_file:
                raise DiskFullError(f"{core.path}: no room for a manifest: free some and try again")
            state = core.manifest.state
            manifest, length = core.manifest.path, core.manifest.size_bytes
            current = fs.read_file(core.path / "CURRENT")
            content = fs.read_file(manifest)[:length]
        options = [name for name in fs.list(core.path) if name.startswith("OPTIONS-")]
        log = tuple(
            LogFile(
                part.path,
                part.segment.first_sequence,
                min(part.segment.last_sequence, cut.position.sequence),
                part.length,
                part.segment.archived,
            )
            for part in cut.log
            if part.segment.last_sequence > state.flushed.sequence
        )
        files = [CopyFile(meta.name, meta.size_bytes, meta.sha256) for meta in state.tables]
        files += [_described(name, fs.read_file(core.path / name)) for name in options[-1:]]
        files += [_described(manifest.name, content), _described("CURRENT", current)]
        return LiveFiles(
            position=max(cut.position, state.flushed, key=lambda position: position.sequence),
            files=tuple(files),
            manifest=manifest.name,
            manifest_bytes=length,
            log=log if cut.position.sequence > state.flushed.sequence else (),
        )


def _described(name: str, data: bytes) -> CopyFile:
    return CopyFile(name, len(data), hashlib.sha256(data).digest())
