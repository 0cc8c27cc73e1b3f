"""Gathers the files of a backup: those that are here already are linked, the others are fetched.

A file counts as here when its bytes have the SHA-256 of the list, whatever its name; nothing else is trusted,
the manifest of the old database included, which may be what is damaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replicad.backup.copying import Flow
from replicad.backup.meta import BackupFile
from replicad.backup.target import Target
from replicad.backup.verify import TargetFile
from replicad.backup.workers import run_all
from replicad.env import Env
from replicad.env.atomic import link_or_copy
from replicad.errors import DiskFullError

PART = ".part"
RESERVE_BYTES = 64 << 20
"""What is left free: tables made of the log need room as well."""

Identity = tuple[bytes, int]
"""(SHA-256, size in bytes)."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """What has to be done for a set of files."""

    here: Mapping[str, Path]
    """By path in the backup, a local file with the same content."""
    missing: tuple[BackupFile, ...]

    @property
    def missing_bytes(self) -> int:
        return sum(file.size_bytes for file in self.missing)


def look(
    env: Env, staging: Path, files: Iterable[BackupFile], beside: Mapping[Path, int], workers: int, flow: Flow
) -> Gathering:
    """Which of `files` are in `staging` already, or among the files `beside` (with their sizes)."""
    files = tuple(files)
    sizes = {file.size_bytes for file in files}
    wanted = {_identity_of(file) for file in files}
    staged = {staging / name: size for name, size in env.fs.files(staging).items() if not name.endswith(PART)}
    candidates = [(path, size) for path, size in (staged | dict(beside)).items() if size in sizes]
    flow.meter.expect(len(candidates), sum(size for _, size in candidates))
    jobs = [_identify_job(env, path, size, flow) for path, size in candidates]
    known: dict[Identity, Path] = {}
    for (path, _), identity in zip(candidates, run_all(env, workers, jobs), strict=True):
        if identity in wanted:
            known.setdefault(identity, path)
    here = {file.path: known[identity] for file in files if (identity := _identity_of(file)) in known}
    return Gathering(here, tuple(file for file in files if file.path not in here))


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
) -> None:
    """Makes `staging` hold exactly `files`, under their paths: whole, verified, synced with their names.

    Raises CorruptionError, which says whether the target is bad, and DiskFullError before it is full.
    """
    fs = env.fs
    files = tuple(files)
    fs.make_directories(staging)
    free = fs.free_bytes(staging)
    if found.missing_bytes + RESERVE_BYTES > free:
        raise DiskFullError(
            f"{staging.parent}: {found.missing_bytes} bytes have to be fetched and {RESERVE_BYTES} stay in "
            f"reserve, {free} are free"
        )
    wanted = {file.path for file in files}
    kept = {path for path, place in found.here.items() if place == staging / path}
    directories = {(staging / file.path).parent for file in files}
    for directory in directories:
        fs.make_directories(directory)
    for file in files:
        if file.path not in kept and file.path in found.here:
            part = staging / (file.path + PART)
            fs.unlink(part)
            link_or_copy(fs, found.here[file.path], part)
            fs.rename(part, staging / file.path)
    flow.meter.expect(len(found.missing), found.missing_bytes)
    run_all(env, workers, [_fetch_job(env, target, staging, file, flow) for file in found.missing])
    for name in fs.files(staging):
        if name not in wanted:
            fs.unlink(staging / name)
    for directory in {staging, *directories}:
        fs.sync_directory(directory)


def _fetch_job(env: Env, target: Target, staging: Path, file: BackupFile, flow: Flow) -> Callable[[], None]:
    def fetch() -> None:
        fs = env.fs
        path = staging / file.path
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
