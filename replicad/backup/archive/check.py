"""Whether the archived log is whole: gaps are found here, not when somebody has to restore.

Names and sizes alone tell gaps; by choice every byte is read, and every checksum and link of the chain is
checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Sequence as Many
from dataclasses import asdict, dataclass
from typing import Any

from replicad.backup.archive.frames import check_object
from replicad.backup.archive.joined_log import Gap, is_on_line
from replicad.backup.archive.log import ArchivedLog, look_at_log
from replicad.backup.archive.names import PREFIX, LogObject, objects_of
from replicad.backup.copying import Flow
from replicad.backup.info import BackupInfo
from replicad.backup.target import Target
from replicad.backup.workers import run_all
from replicad.env import Env
from replicad.errors import CorruptionError, NewerFormatError, NotFoundError
from replicad.types import DatabaseId, EpochRecord, HistoryHash, Position, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProblem:
    """An object that is not what its name says."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCheck:
    """The archived log of one database. `checksums`: every byte was read."""

    database_id: DatabaseId
    objects: int
    size_bytes: int
    base: int | None
    """Id of the oldest backup that the log goes on from; None when no backup does."""
    first_sequence: int
    """From where on every batch can be restored, up to the first gap."""
    end: Position
    """Of the newest object on the line of history."""
    end_commit_time_us: int
    gaps: tuple[Gap, ...]
    checksums: bool
    problems: tuple[LogProblem, ...]

    @property
    def restorable(self) -> bool:
        """Whether any of it can be restored: without a backup to start from nothing can."""
        return self.base is not None

    @property
    def ok(self) -> bool:
        return self.restorable and not self.gaps and not self.problems

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            **asdict(self),
            "database_id": self.database_id.hex(),
            "end": str(self.end),
            "gaps": [[gap.first, gap.last] for gap in self.gaps],
            "restorable": self.restorable,
            "ok": self.ok,
        }


def has_base(log: ArchivedLog, bases: Iterable[BackupInfo]) -> bool:
    """Whether what is archived next can be restored: some backup is followed by all the log there is."""
    return any(
        is_on_line(base.position, log.forks) and not log.from_base(base.position).gaps for base in bases
    )


def archived_databases(target: Target) -> list[DatabaseId]:
    """Those of which there is any log."""
    return sorted({each.database_id for each in objects_of(target.list(PREFIX))})


def check_log(
    env: Env,
    target: Target,
    database_id: DatabaseId,
    bases: Many[BackupInfo],
    epochs: Iterable[EpochRecord],
    *,
    checksums: bool,
    flow: Flow,
    workers: int,
) -> LogCheck:
    """`bases` are the backups of that database, `epochs` what the newest of them knows of its history."""
    problems: list[LogProblem] = []

    try:
        log = look_at_log(target, database_id, tuple(epochs))
    except CorruptionError as error:
        problems.append(LogProblem(name=str(error.path), reason=error.reason))

        # A header that cannot be read is a problem of its own. Names alone still show the gaps.
        log = ArchivedLog(tuple(objects_of(target.list(f"{PREFIX}{database_id.hex()}/"))), {})

    # A backup that is not on the line of history has no log after it. The oldest of the others is where the
    # log has to begin.
    usable = [base for base in bases if is_on_line(base.position, log.forks)]
    newest = max(log.objects, key=lambda each: (each.epoch, each.last))
    base = min(usable, key=lambda base: base.position.sequence, default=None)
    start = _before(log.objects[0]) if base is None else base.position

    if checksums:
        flow.meter.expect(len(log.objects), sum(each.size_bytes for each in log.objects))
        jobs = [_check_job(target, each, flow) for each in log.objects]
        problems += [problem for problem in run_all(env, workers, jobs) if problem is not None]

    return LogCheck(
        database_id=database_id,
        objects=len(log.objects),
        size_bytes=sum(each.size_bytes for each in log.objects),
        base=None if base is None else base.id,
        first_sequence=start.sequence,
        end=newest.end,
        end_commit_time_us=newest.commit_time_us,
        gaps=log.from_base(start).gaps,
        checksums=checksums,
        problems=tuple(problems),
    )


def _before(first: LogObject) -> Position:
    """Where the log begins; its hash is not looked at."""
    return Position(first.epoch, Sequence(first.first - 1), HistoryHash(0))


def _check_job(target: Target, each: LogObject, flow: Flow) -> Callable[[], LogProblem | None]:
    def check() -> LogProblem | None:
        flow.stop.check()
        try:
            flow.meter.add(check_object(target, each))
        except NotFoundError:
            return None  # It was made part of a larger one meanwhile.
        except (CorruptionError, NewerFormatError) as error:
            return LogProblem(name=each.name, reason=str(error))
        flow.meter.file_done()
        return None

    return check
