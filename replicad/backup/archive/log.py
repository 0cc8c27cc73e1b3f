"""What a target has of one database's log, and where its epochs begin."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass

from replicad.backup.archive.frames import read_header
from replicad.backup.archive.joined_log import JoinedLog, line_from
from replicad.backup.archive.names import ArchiveMark, LogObject, database_prefix, marks_of, objects_of
from replicad.backup.target import Target
from replicad.types import DatabaseId, Epoch, EpochRecord, Position, Sequence


@dataclass(frozen=True, slots=True)
class ArchivedLog:
    """What a target has of one database's log."""

    objects: tuple[LogObject, ...]
    forks: Mapping[Epoch, Sequence]
    marks: tuple[ArchiveMark, ...] = ()

    def known_until(self, end: Position) -> int | None:
        """Until when, in microseconds since 1970, nothing was committed after that position, as far as it was
        marked; None when it was not."""
        return max((mark.time_us for mark in self.marks if mark.end == end), default=None)

    def from_base(self, base: Position, goal: Sequence | None = None) -> JoinedLog:
        return line_from(self.objects, self.forks, base, goal)


def look_at_log(target: Target, database_id: DatabaseId, epochs: Many[EpochRecord]) -> ArchivedLog:
    """One listing, and the header of the first object of each epoch. `epochs` are what backups know of."""
    listed = target.list(database_prefix(database_id))
    objects = objects_of(listed)
    forks = {record.epoch: record.fork.sequence for record in epochs}
    firsts: dict[Epoch, LogObject] = {}
    for each in objects:
        firsts.setdefault(each.epoch, each)
    for epoch, each in firsts.items():
        if epoch not in forks:
            previous = read_header(target, each).previous
            if previous.epoch < epoch:
                forks[epoch] = previous.sequence
    return ArchivedLog(tuple(objects), forks, tuple(marks_of(listed).values()))
