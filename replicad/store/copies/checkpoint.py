"""Checkpoints: a directory of hard links that opens as a database of its own (`proto/checkpoint.md`).

Also the two halves of a physical copy to another machine: what to ship, and how to put it in place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from replicad.env import Env, FileSystem, naming_full_disk
from replicad.env.atomic import copy_file, link_or_copy, replace_file
from replicad.errors import ClosedError, CorruptionError, InvalidArgument, NotFoundError
from replicad.options import Options
from replicad.store.copies.cut import Cut
from replicad.store.directory.formats import check_formats
from replicad.store.directory.log_place import check_log_is_ours
from replicad.store.directory.options_file import write_options
from replicad.store.manifest.file import (
    encode_current,
    encode_manifest,
    load,
    manifest_name,
    remove_stale_manifests,
    write_manifest,
)
from replicad.store.manifest.state import FIRST_FILE, ManifestState
from replicad.store.table.meta import TableMeta, table_name
from replicad.store.wal.segment import is_segment_name
from replicad.types import DEFAULT_FAMILY, FileNumber, Position

_NUMBERED = re.compile(r"\d{6,18}\.sst|MANIFEST-\d{6,18}")


@dataclass(frozen=True, slots=True)
class CopyFile:
    """One file of a copy; `name` is relative to its directory."""

    name: str
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What `create_checkpoint` made: where it opens, and how many files are links to the original's."""

    path: Path
    position: Position
    linked: int
    copied: int
    """Where links are not possible (other file systems) or not wanted; a log that still grows, always."""


def write_checkpoint(
    env: Env,
    cut: Cut,
    target: Path,
    *,
    with_log: bool = True,
    copy: bool = False,
    families: Collection[int] | None = None,
) -> Checkpoint:
    """Makes `target` out of the cut: staged in the same directory, synced, renamed. `target` must not exist.

    It opens at the cut's position, or without the log at the one that the tables hold. With `copy` nothing
    is linked. With `families` only those are in it, and the default one; the log would bring others back,
    so it has to be left out. Raises DiskFullError, and ClosedError when the cut's lease ended before all was
    there; nothing is left at `target` then.
    """
    assert families is None or not with_log
    fs = env.fs
    target = target.absolute()
    if fs.exists(target):
        raise InvalidArgument(f"{target} exists; a checkpoint needs a path of its own")

    # Staged and renamed as a whole: a crash leaves the temporary directory or the whole checkpoint.
    staging = target.with_name(f"{target.name}.tmp-{env.random.bytes(4).hex()}")
    try:
        with naming_full_disk(f"{target}: no room for a checkpoint"):
            fs.make_directories(staging / "wal")

            # `synced` is where the log of the copy ends: a log that ends earlier is then known as corruption,
            # and does not pass for an older checkpoint.
            position = cut.position if with_log else cut.flushed
            state = replace(cut.state, synced=position)
            if families is not None:
                state = _only(state, {DEFAULT_FAMILY, *families})

            linked, copied = _copy_content(env, cut, state.tables, staging, with_log=with_log, copy=copy)
            write_options(fs, staging, 1, cut.options)
            write_state(fs, staging, state)
            fs.rename(staging, target)
            fs.sync_directory(target.parent)
    except BaseException:
        fs.remove_tree(staging)
        raise
    return Checkpoint(target, position, linked, copied)


def _only(state: ManifestState, families: set[int]) -> ManifestState:
    """The state without the other families, whose ids stay used."""
    unknown = families - state.families.ids
    if unknown:
        raise NotFoundError(f"there is no column family {min(unknown)}")
    records = tuple(record for record in state.families.records if record.id in families)
    tables = tuple(meta for meta in state.tables if meta.family in families)
    return replace(state, families=replace(state.families, records=records), tables=tables)


def _copy_content(
    env: Env, cut: Cut, tables: Iterable[TableMeta], staging: Path, *, with_log: bool, copy: bool
) -> tuple[int, int]:
    """(files linked, files copied)."""
    fs = env.fs

    linked = copied = 0
    try:
        for meta in tables:
            if env.runner.given_up():
                raise ClosedError("the checkpoint was given up")
            done = not copy and link_or_copy(fs, cut.directory / meta.name, staging / meta.name)
            if copy:
                copy_file(fs, cut.directory / meta.name, staging / meta.name)
            linked, copied = linked + done, copied + (not done)

        # A segment that is still written to would grow in the copy as well, so it is copied up to the
        # position.
        for part in cut.log if with_log else ():
            destination = staging / "wal" / part.path.name
            done = part.whole and not copy and link_or_copy(fs, part.path, destination)
            if copy or not part.whole:
                copy_file(fs, part.path, destination, part.length)
            linked, copied = linked + done, copied + (not done)
    except FileNotFoundError:
        cut.raise_if_closed()
        raise

    # A lease that ended meanwhile may have let files go: only a cut that is still open vouches for them.
    cut.raise_if_closed()
    fs.sync_directory(staging / "wal")
    return linked, copied


def write_state(fs: FileSystem, directory: Path, state: ManifestState) -> None:
    """A manifest and CURRENT in a directory whose tables are there; syncs it."""
    number = state.next_file
    state = replace(state, next_file=FileNumber(number + 1))
    manifest = write_manifest(fs, directory, number, state)
    manifest.close()
    replace_file(fs, directory / "CURRENT", encode_current(manifest.path.name, manifest.size))


def encode_state(state: ManifestState) -> dict[str, bytes]:
    """What `write_state` writes: the content of each file, CURRENT last."""
    name = manifest_name(state.next_file)
    manifest = encode_manifest(replace(state, next_file=FileNumber(state.next_file + 1)))
    return {name: manifest, "CURRENT": encode_current(name, len(manifest))}


def list_files(fs: FileSystem, directory: Path) -> list[CopyFile]:
    """What a copy of a checkpoint consists of, without its log: tables first, CURRENT last."""
    state = load(fs, directory)
    files = [CopyFile(meta.name, meta.size_bytes, meta.sha256) for meta in state.tables]
    for name in fs.list(directory):
        if name.startswith("MANIFEST-"):
            files.append(_described(fs, directory, name))
    files.append(_described(fs, directory, "CURRENT"))
    return files


def _described(fs: FileSystem, directory: Path, name: str) -> CopyFile:
    data = fs.read_file(directory / name)
    return CopyFile(name, len(data), hashlib.sha256(data).digest())


def local_tables(fs: FileSystem, directory: Path) -> dict[tuple[bytes, int], str]:
    """Names of the tables that a database has, by identity (SHA-256, size); empty where there is none."""
    try:
        state = load(fs, directory)
    except NotFoundError:
        return {}
    return {(meta.sha256, meta.size_bytes): meta.name for meta in state.tables}


def install(env: Env, staging: Path, directory: Path, wal_dir: Path | None = None) -> None:
    """Makes the received and verified copy in `staging` the content of the database in `directory`.

    The database must be closed; `wal_dir` is its option. Until CURRENT is replaced the old data is what opens
    and afterwards the new, without any log; what a crash leaves of the old the next opening removes.
    `staging` is removed. What is there may be damaged, or nothing. Raises ConfigError when the log directory
    is that of another database, and NewerFormatError for a copy of a later release.
    """
    fs = env.fs
    wal = directory / "wal" if wal_dir is None else wal_dir.absolute()
    check_log_is_ours(fs, directory, wal)

    # A later release may feed this node. Its files must not take the place of data that can be read.
    check_formats(fs, staging, Options())
    received = load(fs, staging, of_copy=True)
    first, old = _present(fs, directory)
    fs.make_directories(directory)

    # The numbers of the copy may belong to other tables here: each table gets one that this directory never
    # used. An installation that was cut short may have left a link under it.
    tables = []
    for number, meta in enumerate(received.tables, start=first):
        target = directory / table_name(FileNumber(number))
        fs.unlink(target)
        link_or_copy(fs, staging / meta.name, target)
        tables.append(replace(meta, number=FileNumber(number)))

    # CURRENT must not lead to tables whose names a crash can take away.
    fs.sync_directory(directory)

    # The copy comes without log. Until all of the old log is removed, `log_replaced` tells the next opening
    # that it is of another history.
    state = replace(
        received,
        next_file=FileNumber(first + len(tables)),
        synced=received.flushed,
        log_start=received.flushed,
        log_replaced=True,
        tables=tuple(tables),
    )

    # From here on the new data opens. What a crash leaves of the old below, the next opening removes.
    write_state(fs, directory, state)
    remove_log(fs, wal)
    remove_log(fs, directory / "archive")
    for stale in old:
        fs.unlink(directory / stale)
    remove_stale_manifests(fs, directory)
    fs.remove_tree(staging)


def unused_number(fs: FileSystem, directory: Path) -> FileNumber:
    """One above those of all tables and manifests in the directory."""
    names = [name for name in fs.list(directory) if _NUMBERED.fullmatch(name)]
    numbers = [int("".join(filter(str.isdigit, name))) for name in names]
    return FileNumber(max(numbers, default=FIRST_FILE - 1) + 1)


def _present(fs: FileSystem, directory: Path) -> tuple[FileNumber, list[str]]:
    """(a number that no file has, names of the tables) of what a directory holds."""
    try:
        state = load(fs, directory)
        return state.next_file, [meta.name for meta in state.tables]
    except (NotFoundError, CorruptionError):
        tables = [n for n in fs.list(directory) if n.endswith(".sst") and _NUMBERED.fullmatch(n)]
        return unused_number(fs, directory), tables


def remove_log(fs: FileSystem, directory: Path) -> None:
    """Removes every segment, durably."""
    segments = [name for name in fs.list(directory) if is_segment_name(name)]
    for name in segments:
        fs.unlink(directory / name)
    if segments:
        fs.sync_directory(directory)
