"""Gathers the files of a backup: those that are here already are taken, the others are fetched.

A file counts as here when its bytes have the SHA-256 of the list, whatever its name; nothing else is trusted,
the manifest of the old database included, which may be what is damaged.

    <sha256>-<n>         the n-th of the files with this content, whole, verified and synced
    <sha256>-<n>.part    not yet whole: it is being written, or an attempt was cut short

No name of the backup is a name here, so whatever files are called, none meets another, or our own.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replicad.backup.copying import Flow
from replicad.backup.meta import BackupFile
from replicad.backup.target import Target
from replicad.backup.verify import TargetFile
from replicad.backup.workers import run_all
from replicad.env import Env
from replicad.env.atomic import copy_file, link_or_copy
from replicad.errors import DiskFullError
from replicad.units import show_size

PART = ".part"
RESERVE_BYTES = 64 << 20
"""What is left free: tables made of the log need room as well."""
_STAGED = re.compile(r"[0-9a-f]{64}-\d+(?:\.part)?")

Identity = tuple[bytes, int]
"""(SHA-256, size in bytes)."""


def is_staged_name(name: str) -> bool:
    """Whether a file in a staging directory is one of ours."""
    return _STAGED.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Gathering:
    """What has to be done for a set of files, by their paths in the backup."""

    names: Mapping[str, str]
    """In the staging directory, of those that are not in place."""
    in_place: frozenset[str]
    """Those that are right where they go."""
    here: Mapping[str, Path]
    """Of those that are not, a local file with the same content."""
    missing: tuple[BackupFile, ...]

    @property
    def missing_bytes(self) -> int:
        return sum(file.size_bytes for file in self.missing)


def look(
    env: Env,
    staging: Path,
    files: Iterable[BackupFile],
    beside: Mapping[Path, int],
    workers: int,
    flow: Flow,
    *,
    place: Path | None = None,
) -> Gathering:
    """Which of `files` are in `staging` already, or among the files `beside` (with their sizes).

    With `place` each belongs there under its path, and needs nothing if it is there with its content.
    """
    files = tuple(files)
    sizes = {file.size_bytes for file in files}
    wanted = {_identity_of(file) for file in files}

    # A .part was never verified. Hashing is slow, so only files of a size that is asked for are read.
    staged = {staging / name: size for name, size in env.fs.files(staging).items() if not name.endswith(PART)}
    candidates = [(path, size) for path, size in (staged | dict(beside)).items() if size in sizes]
    flow.meter.expect(len(candidates), sum(size for _, size in candidates))
    jobs = [_identify_job(env, path, size, flow) for path, size in candidates]

    # A file is known by its content alone: its name may be an old one, and it may have been damaged since.
    known: dict[Identity, Path] = {}
    identities: dict[Path, Identity] = {}
    for (path, _), identity in zip(candidates, run_all(env, workers, jobs), strict=True):
        if identity in wanted:
            known.setdefault(identity, path)
            identities[path] = identity

    in_place = frozenset(
        file.path
        for file in files
        if place is not None and identities.get(place / file.path) == _identity_of(file)
    )
    others = [file for file in files if file.path not in in_place]
    names = _staged_names(others)

    here: dict[str, Path] = {}
    for file in others:
        own, identity = staging / names[file.path], _identity_of(file)
        if identities.get(own) == identity:
            here[file.path] = own
        elif identity in known:
            here[file.path] = known[identity]
    return Gathering(names, in_place, here, tuple(file for file in others if file.path not in here))


def _staged_names(files: Iterable[BackupFile]) -> dict[str, str]:
    counts: Counter[bytes] = Counter()
    names = {}
    for file in sorted(files, key=lambda file: file.path):
        names[file.path] = f"{file.sha256.hex()}-{counts[file.sha256]}"
        counts[file.sha256] += 1
    return names


def _identity_of(file: BackupFile) -> Identity:
    return file.sha256, file.size_bytes


def _identify_job(env: Env, path: Path, size: int, flow: Flow) -> Callable[[], Identity]:
    def identify() -> Identity:
        hash = hashlib.sha256()
        file = env.fs.open(path)
        try:
            for data in flow.read(file, size, hash):
                flow.meter.add(len(data))
        finally:
            file.close()
        flow.meter.file_done()
        return hash.digest(), size

    return identify


def gather(
    env: Env,
    target: Target,
    staging: Path,
    files: Iterable[BackupFile],
    found: Gathering,
    workers: int,
    flow: Flow,
    *,
    link: bool,
) -> None:
    """Makes `staging` hold exactly those `files` that are not in place: whole, verified, synced by name.

    With `link` files that nobody changes are hard links of what is here; otherwise each is a file of its own.
    Raises CorruptionError, which says whether the target is bad, and DiskFullError before it is full.
    """
    fs = env.fs
    files = tuple(file for file in files if file.path not in found.in_place)
    fs.make_directories(staging)

    # Refused before anything is fetched: a restore that cannot succeed does not fill the disk first.
    elsewhere = [file for file in files if found.here.get(file.path, staging).parent != staging]
    needed = found.missing_bytes + (0 if link else sum(file.size_bytes for file in elsewhere))
    free = fs.free_bytes(staging)
    if needed + RESERVE_BYTES > free:
        raise DiskFullError(
            f"{staging.parent}: {show_size(needed)} have to be fetched or copied and "
            f"{show_size(RESERVE_BYTES)} stay in reserve, {show_size(free)} are free"
        )

    # A name without .part promises a whole file, so a copy gets it only when it is complete.
    for file in files:
        source, path = found.here.get(file.path), staging / found.names[file.path]
        if source is not None and source != path:
            part = path.with_name(path.name + PART)
            fs.unlink(part)
            (link_or_copy if link else copy_file)(fs, source, part)
            fs.rename(part, path)

    flow.meter.expect(len(found.missing), found.missing_bytes)
    run_all(
        env,
        workers,
        [_fetch_job(env, target, staging / found.names[file.path], file, flow) for file in found.missing],
    )

    # An earlier attempt may have been for another backup: what only that one needs is removed.
    wanted = {found.names[file.path] for file in files}
    for name in fs.files(staging):
        if name not in wanted:
            fs.unlink(staging / name)
    fs.sync_directory(staging)


def _fetch_job(env: Env, target: Target, path: Path, file: BackupFile, flow: Flow) -> Callable[[], None]:
    def fetch() -> None:
        fs = env.fs
        part = path.with_name(path.name + PART)
        fs.unlink(part)
        writer = fs.create(part)
        try:
            for data in flow.checked(TargetFile(target, file.name), file.size_bytes, file.sha256):
                writer.append(data)
            writer.sync()
        finally:
            writer.close()
        fs.rename(part, path)
        flow.meter.file_done()

    return fetch
