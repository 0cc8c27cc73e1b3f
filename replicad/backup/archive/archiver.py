"""Copies the durable log of an open database to a target, piece by piece, for as long as it is asked.

    resume ──► step, step, …        each step: what is durable and not archived yet, as one small object
                  └─ sometimes      the small objects of a while become one large one, and go

Nothing is kept locally: where to go on is what the target holds, found again after a restart or an error, by
the newest object that ends at a position of this very history. Small objects go only after the large one is
there, so the log is complete at every moment. One thread at a time; `document` from any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from replicad import kernels
from replicad.backup.archive.hold import ArchiveHold
from replicad.backup.archive.names import (
    ArchiveMark,
    LogObject,
    database_prefix,
    mark_name,
    marks_of,
    objects_of,
)
from replicad.backup.archive.options import ArchiveOptions
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.target import Target
from replicad.errors import LogGoneError
from replicad.store.database import Database
from replicad.store.wal.cursor import LogCursor
from replicad.store.wal.frames import LogChunk
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader
from replicad.types import Epoch, Position, Sequence

MARK_SECONDS = 15.0
"""How often an idle database is said to have been idle until now."""


class LogArchiver:
    """The archive of one open database. Errors of the target come out of `step`, which may be tried again."""

    def __init__(
        self,
        target: Target,
        database: Database,
        options: ArchiveOptions | None = None,
        hold: ArchiveHold | None = None,
        confirm: Callable[[Target], None] = lambda target: None,
    ) -> None:
        """`hold` is told what the database must not let go of yet, after `confirm`, which raises when the
        target is not the one that it was: what was written there since is not archived then."""
        self._hold = hold
        self._confirm = confirm
        self._confirmed: Position | None = None
        """What was archived when the target was last the one that it was: for status."""
        self._unconfirmed = False

        self.options = options or ArchiveOptions()
        self.archived: Position | None = None
        """Through where the target has the log; None until the target has told."""
        self.gap: tuple[int, int] | None = None
        """Sequence numbers that were gone from the log before they were archived."""
        self.archived_bytes = 0

        self._target = target
        self._database = database
        self._cursor: LogCursor | None = None
        self._carried: LogChunk | None = None
        self._exhausted = True
        """Whether the last object has everything that was durable then."""
        self._group: list[LogObject] = []
        """The small objects at the end, oldest first: what becomes one object later."""

    # From any thread

    @property
    def lag_bytes(self) -> int:
        """Log that is not archived yet, in whole segments: an upper bound."""
        archived = self.archived or self._confirmed
        if archived is not None and archived.sequence >= self._database.durable_sequence:
            return 0
        return self._log_bytes(1 if archived is None else archived.sequence + 1)

    def is_due(self, seconds_since: float) -> bool:
        """Whether to step now, `seconds_since` the last step: a sealed segment does not wait."""
        archived = self.archived
        if archived is None or seconds_since >= self.options.seconds:
            return True
        sealed = self._database.get_sorted_wal_files()[:-1]
        return bool(sealed) and sealed[-1].last_sequence > archived.sequence

    def document(self) -> dict[str, Any]:
        """Plain values for a status document."""
        durable = self._database.durable_sequence
        archived = self.archived or self._confirmed
        return {
            "position": None if archived is None else str(archived),
            "lag_sequences": None if archived is None else max(0, durable - archived.sequence),
            "lag_bytes": self.lag_bytes,
            "archived_bytes": self.archived_bytes,
            "gap": None if self.gap is None else list(self.gap),
            "holds_log": self._hold is not None and not self._hold.released,
        }

    # One thread at a time

    def step(self) -> bool:
        """Archives some of what is durable; whether that was a whole object's worth, so that there is more.

        What is committed while it works does not count: each object is a request that somebody pays for, so
        that waits until the next step is due. Raises what the target raises.
        """
        try:
            if self.archived is None:
                self._confirm(self._target)
                self._resume()
            self._group_up()
            more = self._archive_some()
            self._confirm_target()
            self._tell_hold()
            self._confirmed = self.archived
            return more
        except LogGoneError:
            # Retention was faster: another look at the target tells what is missing.
            self._forget()
            raise
        except BaseException:
            self._close_cursor()
            raise

    def mark(self) -> None:
        """Writes down that nothing was committed since what is archived, until now, if that is so: for a
        restore to a time at which the database was idle. For the database that commits, not for a copy."""
        if self.archived is None or self._database.role != "owner":
            return
        with self._database.cut(holder="archive mark") as cut:
            end, time_us = cut.position, cut.taken_us
        if end != self.archived:
            return
        database_id = self._database.database_id
        old = [
            name
            for name, mark in marks_of(self._target.list(database_prefix(database_id))).items()
            if mark.time_us < time_us and mark.end.sequence <= end.sequence
        ]
        self._target.write(mark_name(database_id, ArchiveMark(end, time_us)), [])
        self._target.delete(old)

    def close(self) -> None:
        self._close_cursor()

    def _confirm_target(self) -> None:
        """After writing: only what is at the target counts, and not what lies where it was mounted. A
        directory is looked at in any case, so that status tells it soon."""
        if not self._unconfirmed and not isinstance(self._target, DirectoryTarget):
            return
        try:
            self._confirm(self._target)
        except BaseException:
            self._forget()
            raise
        self._unconfirmed = False

    def _tell_hold(self) -> None:
        """What small objects hold stays in the log as well: the large one is made of it."""
        if self._hold is not None and self.archived is not None:
            self._hold.needed = self._group[0].first if self._group else self.archived.sequence + 1

    def _resume(self) -> None:
        database = self._database
        prefix = database_prefix(database.database_id)
        found = objects_of(self._target.list(prefix))
        oldest = database.oldest_log_sequence

        # An object is of this history only if the position after it is the one that the log has there. Below
        # the oldest log there is nothing to compare it with.
        ours = None
        for each in sorted(found, key=lambda each: each.last, reverse=True):
            if each.last + 1 < oldest:
                break
            if each.last <= database.durable_sequence and database.position_at(each.last) == each.end:
                ours = each
                break

        if ours is not None:
            self._group = self._open_group(found, ours)
            self.archived = ours.end
            return

        # Nothing at the target joins the log that is left: the archive begins again where the log does, and
        # what is missing between the two is the gap.
        newest = max((each.last for each in found if each.last < oldest), default=oldest - 1)
        self.gap = (newest + 1, oldest - 1) if newest < oldest - 1 else None

        start = database.position_at(oldest - 1)
        if start is None:
            raise LogGoneError(oldest, database.oldest_log_sequence)
        self.archived = start

    def _open_group(self, found: list[LogObject], last: LogObject) -> list[LogObject]:
        """The small objects that join one another and end with `last`."""
        ending = {each.last: each for each in found if each.epoch == last.epoch and self._is_small(each)}
        group: list[LogObject] = []
        at: LogObject | None = last if self._is_small(last) else None
        while at is not None and len(group) < self.options.parts_max:
            group.insert(0, at)
            at = ending.get(Sequence(at.first - 1))
        return group

    def _is_small(self, each: LogObject) -> bool:
        return each.size_bytes < self.options.object_bytes

    def _archive_some(self) -> bool:
        assert self.archived is not None
        chunks = list(self._durable_chunks(self.archived))
        if not chunks:
            return False
        each = self._write(chunks, self.archived)
        self._group.append(each)
        self.archived = each.end
        self.archived_bytes += each.size_bytes
        return not self._exhausted

    def _durable_chunks(self, after: Position) -> Iterator[LogChunk]:
        """About one object's worth, all of one epoch."""
        if self._cursor is None:
            self._cursor, self._carried = self._database.read_log(after.sequence + 1), None

        size_bytes, epoch, self._exhausted = 0, None, False
        while size_bytes < self.options.object_bytes:
            chunk = self._carried or self._cursor.next()
            self._carried = None
            if chunk is None:
                self._exhausted = True
                return

            # The name and the header of an object give one epoch, so a frame of the next one waits for the
            # next object.
            if epoch is not None and chunk.position.epoch != epoch:
                self._carried = chunk
                return

            epoch = chunk.position.epoch
            size_bytes += len(chunk.frames)
            yield chunk

    def _write(self, chunks: list[LogChunk], previous: Position) -> LogObject:
        end = chunks[-1].position
        assert chunks[0].first_sequence == previous.sequence + 1
        each = LogObject(
            database_id=self._database.database_id,
            first=chunks[0].first_sequence,
            end=end,
            commit_time_us=chunks[-1].commit_time_us,
            size_bytes=HEADER_BYTES + sum(len(chunk.frames) for chunk in chunks),
        )
        header = SegmentHeader(each.database_id, end.epoch, previous)
        self._unconfirmed = True
        self._target.write(each.name, [header.encode(), *(chunk.frames for chunk in chunks)])
        return each

    def _group_up(self) -> None:
        """Makes one object of the small ones when there are enough, or when their epoch is over."""
        group = self._group
        size_bytes = sum(each.size_bytes for each in group)
        full = size_bytes >= self.options.object_bytes or len(group) >= self.options.parts_max
        epoch: Epoch = self._database.durable_position.epoch
        if not group or not (full or group[-1].epoch < epoch):
            return
        if len(group) > 1:
            self._replace(group)
        self._group = []

    def _replace(self, group: list[LogObject]) -> None:
        first, last = group[0], group[-1]
        previous = self._database.position_at(first.first - 1)
        if previous is None:
            return  # Gone from the log: the small ones stay as they are.

        # Made of the local log, which `_tell_hold` keeps for it, so that nothing has to be fetched from the
        # target.
        chunks: list[LogChunk] = []
        cursor = self._database.read_log(first.first)
        try:
            while not chunks or chunks[-1].last_sequence < last.last:
                chunk = cursor.next()
                if chunk is None:
                    return
                chunks.append(chunk)
        except LogGoneError:
            return
        finally:
            cursor.close()

        # The last chunk may go beyond the group. The small objects go only after the large one is there, so
        # the log at the target is complete at every moment.
        chunks[-1] = _through(chunks[-1], last)
        whole = self._write(chunks, previous)
        self._target.delete([each.name for each in group if each.name != whole.name])

    def _log_bytes(self, first: int) -> int:
        files = self._database.get_sorted_wal_files()
        return sum(file.size_bytes for file in files if file.last_sequence >= first)

    def _forget(self) -> None:
        self._close_cursor()
        self.archived, self._group = None, []

    def _close_cursor(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
        self._cursor, self._carried = None, None


def _through(chunk: LogChunk, last: LogObject) -> LogChunk:
    """The chunk up to the end of `last`."""
    if chunk.position == last.end:
        return chunk
    ends = [
        (end, first + max(1, count) - 1)
        for _, first, count, _, _, _, end in kernels.list_frames(chunk.frames)
    ]
    batches, end = next(
        (index + 1, end) for index, (end, sequence) in enumerate(ends) if sequence == last.last
    )
    return LogChunk(chunk.frames[:end], chunk.first_sequence, last.end, batches, last.commit_time_us)
