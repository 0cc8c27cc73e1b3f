"""Whether backups can be restored: every file there with its size, and by choice every byte; and whether what
they list fits together."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replicad.backup import names
from replicad.backup.backup_list import backup_ids, read_meta
from replicad.backup.copying import Flow
from replicad.backup.meta import BackupFile, BackupMeta
from replicad.backup.names import BackupId
from replicad.backup.restorable import list_problems, manifest_problem
from replicad.backup.target import Target
from replicad.backup.workers import run_all
from replicad.env import Env
from replicad.errors import CorruptionError, NewerFormatError, NotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file at the target that is not what it must be."""

    name: str
    reason: str
    expected: int | str | None
    got: int | str | None
    backups: tuple[BackupId, ...]
    """Every backup that needs it, verified or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify_backup` found. `checksums`: every byte was read and not sizes alone compared."""

    backups: tuple[BackupId, ...]
    checksums: bool
    files: int
    bytes: int
    """Looked at; what several backups share is counted once."""
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def broken(self) -> tuple[BackupId, ...]:
        """Every backup that one of the problems breaks."""
        return tuple(sorted({id for problem in self.problems for id in problem.backups}))

    @property
    def whole(self) -> tuple[BackupId, ...]:
        """Those that were verified and that no problem breaks."""
        return tuple(sorted(set(self.backups) - set(self.broken)))

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "ok": self.ok, "broken": list(self.broken), "whole": list(self.whole)}

    def raise_if_damaged(self) -> None:
        """Raises CorruptionError for the first problem; it says how many there are."""
        if self.problems:
            first = self.problems[0]
            raise CorruptionError(
                f"{first.reason}; it breaks {name_backups(first.backups)} "
                f"({len(self.problems)} such files in all)",
                path=first.name,
                offset=0,
                expected=first.expected,
                got=first.got,
            )


def name_backups(ids: Iterable[BackupId]) -> str:
    """For messages.

    >>> name_backups([2]), name_backups([2, 3])
    ('backup 2', 'backups 2, 3')
    """
    names = [str(id) for id in ids]
    return f"backup{'s' if len(names) != 1 else ''} {', '.join(names)}"


def verify(
    env: Env, target: Target, ids: Iterable[BackupId] | None, *, checksums: bool, flow: Flow, workers: int
) -> Verification:
    """Of all backups when `ids` is None. Raises NotFoundError for one that is not there."""
    listed = backup_ids(target, target.list(names.META))
    wanted = listed if ids is None else sorted(set(ids))
    if missing := set(wanted) - set(listed):
        raise NotFoundError(f"{target.url} holds no backup {min(missing)}")

    metas: dict[BackupId, BackupMeta] = {}
    problems: list[Problem] = []

    def read(id: BackupId) -> None:
        try:
            metas[id] = read_meta(target, id)
        except (CorruptionError, NewerFormatError) as error:
            reason = getattr(error, "reason", str(error))
            problems.append(
                Problem(name=names.meta_name(id), reason=reason, expected=None, got=None, backups=(id,))
            )
        except NotFoundError:
            pass  # It was deleted meanwhile.

    run_all(env, workers, [lambda id=id: read(id) for id in wanted])  # type: ignore[misc]

    files = {file_key(file): file for meta in metas.values() for file in meta.files}
    found = _look(env, target, list(files.values()), checksums=checksums, flow=flow, workers=workers)
    damaged = {file.name for file, _ in found}

    problems += [
        Problem(name=names.meta_name(id), reason=reason, expected=None, got=None, backups=(id,))
        for id, meta in metas.items()
        for reason in _misfits(target, meta, manifest=checksums and not meta.names & damaged)
    ]

    verified = tuple(wanted)

    # Another backup may share a damaged file, so the metas of all are read to name every backup that it
    # breaks.
    if found:
        others = [id for id in listed if id not in wanted]
        known = len(problems)
        run_all(env, workers, [lambda id=id: read(id) for id in others])  # type: ignore[misc]
        del problems[known:]  # Those were not asked for.
        users: dict[tuple[str, int, bytes], list[BackupId]] = defaultdict(list)
        for id, meta in sorted(metas.items()):
            for file in meta.files:
                users[file_key(file)].append(id)
        problems += [
            Problem(
                name=file.name,
                reason=damage.reason,
                expected=damage.expected,
                got=damage.got,
                backups=tuple(users[file_key(file)]),
            )
            for file, damage in found
        ]

    return Verification(
        backups=verified,
        checksums=checksums,
        files=len(files),
        bytes=sum(file.size_bytes for file in files.values()),
        problems=tuple(sorted(problems, key=lambda problem: problem.name)),
    )


def _misfits(target: Target, meta: BackupMeta, *, manifest: bool) -> list[str]:
    """What keeps files that are whole from being restored together."""
    found = list_problems(meta)
    if manifest and (problem := manifest_problem(target, meta)) is not None:
        found.append(problem)
    return found


def file_key(file: BackupFile) -> tuple[str, int, bytes]:
    return file.name, file.size_bytes, file.sha256


@dataclass(frozen=True, slots=True)
class _Damage:
    reason: str
    expected: int | str | None
    got: int | str | None


def _look(
    env: Env, target: Target, files: list[BackupFile], *, checksums: bool, flow: Flow, workers: int
) -> list[tuple[BackupFile, _Damage]]:
    # One listing for each directory instead of a request for each file.
    there: dict[str, int] = {}
    for prefix in {file.name.split("/")[0] + "/" for file in files}:
        there |= target.list(prefix)

    found: list[tuple[BackupFile, _Damage]] = []
    whole = []
    for file in files:
        size = there.get(file.name)
        if size is None:
            found.append((file, _Damage("the file is missing", file.size_bytes, None)))
        elif size != file.size_bytes:
            found.append((file, _Damage("the file has another size", file.size_bytes, size)))
        else:
            whole.append(file)

    # A file that is missing or has another size is damaged already: only the others are read.
    if checksums:
        flow.meter.expect(len(whole), sum(file.size_bytes for file in whole))
        jobs = [_content_job(target, file, flow) for file in whole]
        for file, damage in zip(whole, run_all(env, workers, jobs), strict=True):
            if damage is not None:
                found.append((file, damage))
    return found


def _content_job(target: Target, file: BackupFile, flow: Flow) -> Callable[[], _Damage | None]:
    def look() -> _Damage | None:
        try:
            digest = digest_at(target, file, flow)
        except (NotFoundError, CorruptionError) as error:
            return _Damage(str(error), file.size_bytes, None)
        except OSError as error:
            return _Damage(f"the file cannot be read: {error}", file.sha256.hex(), None)
        flow.meter.file_done()
        if digest != file.sha256:
            return _Damage("the file's content is not what was written", file.sha256.hex(), digest.hex())
        return None

    return look


def digest_at(target: Target, file: BackupFile, flow: Flow) -> bytes:
    """SHA-256 of a file at the target, read at the rate of reading."""
    hash = hashlib.sha256()
    for data in flow.read(TargetFile(target, file.name), file.size_bytes, hash):
        flow.meter.add(len(data))
    return hash.digest()


class TargetFile:
    """A file at a target, read as a source's files are."""

    def __init__(self, target: Target, name: str) -> None:
        self.path = Path(target.url) / name
        self._target = target
        self._name = name

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        data = self._target.read(self._name, offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        pass
