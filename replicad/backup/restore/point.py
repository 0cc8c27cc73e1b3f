"""From a sequence number or a time to a backup and the log after it.

Which backup is a pure decision over positions; which batch a time means is read from one object of the log.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from datetime import UTC, datetime

from replicad import kernels
from replicad.backup.archive.frames import read_header, read_piece
from replicad.backup.archive.joined_log import JoinedLog, LogPiece, is_on_line
from replicad.backup.archive.log import ArchivedLog
from replicad.backup.info import BackupInfo
from replicad.backup.target import Target
from replicad.errors import NotFoundError, NotKnownYet
from replicad.types import Sequence

STANDSTILL_BATCHES = 8
"""This many batches with one time were not committed in one group by chance."""


@dataclass(frozen=True, slots=True)
class Point:
    """A backup, and the log from its position to the goal."""

    base: BackupInfo
    pieces: tuple[LogPiece, ...]
    log_end: Sequence | None = None
    """Through where the archived log goes on after the goal, if it does."""
    stood_still: tuple[Sequence, Sequence] | None = None
    """The numbers after the goal, both included, that have one commit time, as when a clock had been ahead:
    no time tells how much of what they hold was there then."""

    @property
    def sequence(self) -> Sequence:
        return self.pieces[-1].through if self.pieces else self.base.position.sequence

    @property
    def log_bytes(self) -> int:
        return sum(piece.object.size_bytes for piece in self.pieces)


def point_at_sequence(log: ArchivedLog, bases: Many[BackupInfo], goal: Sequence) -> Point:
    """The newest backup that is not beyond the goal, and the log from there to it."""
    fitting = [base for base in bases if base.position.sequence <= goal]
    base = _newest(log, fitting, bases, f"sequence number {goal}")
    line = log.from_base(base.position, goal)
    if line.gaps:
        raise _gap(base, line, f"sequence number {goal}")
    return Point(base, line.pieces)


def point_at_time(target: Target, log: ArchivedLog, bases: Many[BackupInfo], time_us: int) -> Point:
    """The state after the last batch that was committed at that time or before it."""
    base = _newest(log, [base for base in bases if base.commit_time_us <= time_us], bases, "that time")
    line = log.from_base(base.position)

    pieces: list[LogPiece] = []
    for piece in line.pieces:
        # Commit times never go back, so an object whose last frame is in time is in time as a whole.
        if piece.object.commit_time_us <= time_us:
            pieces.append(piece)
            continue

        # The first object that ends too late holds the batch at which to stop.
        through = _last_until(target, piece, time_us)
        if through > piece.after:
            pieces.append(LogPiece(piece.object, piece.after, through))
        return Point(base, tuple(pieces), line.end, _standstill(target, line.pieces, through))

    if line.gaps:
        raise _gap(base, line, "that time")

    # All the log that there is, is older. Only a mark shows that nothing more was committed until then.
    end = pieces[-1].object.end if pieces else base.position
    sequence = pieces[-1].through if pieces else end.sequence
    known_us = log.known_until(end) if end.sequence == sequence else None
    if known_us is not None and known_us >= time_us:
        return Point(base, tuple(pieces))

    raise NotKnownYet(sequence, known_us, max((mark.time_us for mark in log.marks), default=None))


def reaches(log: ArchivedLog, base: BackupInfo) -> Sequence | None:
    """Through where the log goes on from a backup; None when it does not."""
    return log.from_base(base.position).end if is_on_line(base.position, log.forks) else None


def _standstill(target: Target, pieces: Many[LogPiece], after: Sequence) -> tuple[Sequence, Sequence] | None:
    """The batches right after a number that all have one commit time; None for a few, which may have been
    committed together."""
    time_us, first, last, batches = None, None, after, 0
    for piece in pieces:
        if piece.through <= after:
            continue
        if time_us is not None and piece.after == last and piece.object.commit_time_us == time_us:
            # No frame has an earlier time than the one before it, so all of these have that one.
            last, batches = piece.through, batches + STANDSTILL_BATCHES
            continue
        previous = read_header(target, piece.object).previous
        for chunk in read_piece(target, LogPiece(piece.object, previous.sequence, piece.through), previous):
            for _, begin, count, commit_time_us, _, _, _ in kernels.list_frames(chunk.frames):
                if begin <= after:
                    continue
                time_us = commit_time_us if time_us is None else time_us
                if commit_time_us != time_us:
                    break
                first = Sequence(begin) if first is None else first
                last, batches = Sequence(begin + max(1, count) - 1), batches + 1
            else:
                continue
            break
        else:
            continue
        break
    return None if first is None or batches < STANDSTILL_BATCHES else (first, last)


def _newest(log: ArchivedLog, fitting: Many[BackupInfo], bases: Many[BackupInfo], goal: str) -> BackupInfo:
    """Of those that fit and whose history the log goes on from; `bases` are all."""
    usable = [base for base in fitting if is_on_line(base.position, log.forks)]
    if not usable:
        text = f"no backup is old enough for {goal}"
        if bases:
            oldest = min(bases, key=lambda base: (base.position.sequence, base.id))
            when = datetime.fromtimestamp(oldest.commit_time_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            text += (
                f": the oldest is backup {oldest.id}, at sequence number {oldest.position.sequence} of {when}"
            )
        raise NotFoundError(text)
    return max(usable, key=lambda base: (base.position.sequence, base.id))


def _gap(base: BackupInfo, line: JoinedLog, goal: str) -> NotFoundError:
    end = base.position.sequence if line.end is None else line.end
    return NotFoundError(
        f"the archived log after backup {base.id} lacks sequence numbers {line.gaps[0]}, so {goal} cannot be "
        f"reached; sequence number {end} can"
    )


def _last_until(target: Target, piece: LogPiece, time_us: int) -> Sequence:
    """The last sequence number in `piece` whose batch was committed until then; `piece.after` if none was."""
    previous = read_header(target, piece.object).previous
    whole = LogPiece(piece.object, previous.sequence, piece.through)
    last = piece.after
    for chunk in read_piece(target, whole, previous):
        for _, first, count, commit_time_us, _, _, _ in kernels.list_frames(chunk.frames):
            if commit_time_us > time_us:
                return last
            last = Sequence(max(last, first + max(1, count) - 1))
    return last
