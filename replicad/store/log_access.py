"""What may be asked of any open database, whether it can be written or not: where it stands, and its log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from replicad.errors import CorruptionError
from replicad.options import Options
from replicad.store.copies.live_files import LogFile, sorted_log_files
from replicad.store.core import Core, Role
from replicad.store.log_times import sequence_at_time
from replicad.store.progress import LogProgress
from replicad.store.stats import collect
from replicad.store.updates import UpdateIterator, check_start, position_at
from replicad.store.wal.cursor import LogCursor
from replicad.types import DatabaseId, EpochRecord, Position, Sequence


class LogAccess:
    """The part of `Database` that needs neither readers nor writers of entries."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._progress: LogProgress = core.progress

    # Where it stands

    @property
    def path(self) -> Path:
        return self._core.path

    @property
    def options(self) -> Options:
        return self._core.options

    @property
    def role(self) -> Role:
        return self._core.role

    @property
    def database_id(self) -> DatabaseId:
        return self._core.database_id

    @property
    def epochs(self) -> tuple[EpochRecord, ...]:
        return self._core.state.epochs

    @property
    def latest_sequence(self) -> int:
        """The visible one: what a read sees now."""
        return self._progress.visible

    @property
    def appended_sequence(self) -> int:
        return self._progress.appended

    @property
    def durable_sequence(self) -> int:
        return self._progress.durable

    @property
    def position(self) -> Position:
        """After the last batch written."""
        return self._core.written

    @property
    def durable_position(self) -> Position:
        return self._progress.durable_position

    @property
    def commit_time_us(self) -> int:
        """Of the last batch written, in microseconds since 1970: commit times never go back."""
        return self._core.commit_time_us

    @property
    def visible_position(self) -> Position:
        """Nothing that a reader was shown is after it, and it is visible itself when the call returns.

        A replica shows what is not durable there yet; an owner does under "async" only.
        """
        return self.durable_position if self._progress.visible_when_durable else self.position

    @property
    def flushed_position(self) -> Position:
        """The tables hold everything through here, and nothing after it."""
        return self._core.version.flushed

    @property
    def stalled(self) -> str | None:
        """Why writes have to wait, or are refused; None when they go on."""
        return self._core.stalled

    @property
    def refused(self) -> str | None:
        """Why writes are refused, with DiskFullError or CorruptionError, or None."""
        return self._core.refused

    @property
    def no_room(self) -> str | None:
        """What background work finds no room for, or None. Writes are refused when it lasts."""
        return self._core.lacks_room

    @property
    def failed(self) -> BaseException | None:
        """What poisoned the store, or None."""
        return self._progress.failure

    @property
    def damage(self) -> CorruptionError | None:
        """Rot that compaction found in a table, or None. What is not damaged is served, compaction is not."""
        return self._core.damage

    @property
    def closed(self) -> bool:
        return self._progress.closed

    @property
    def notes(self) -> list[str]:
        """What opening had to say: a torn tail that was cut, files passed over."""
        return list(self._core.notes)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener`, from any thread, after any of these moved; returns how to end that.

        It must return at once, for instance after `loop.call_soon_threadsafe(event.set)`.
        """
        return self._progress.subscribe(listener)

    def wait_durable(self, sequence: int, timeout: float | None = None) -> bool:
        return self._progress.wait_durable(Sequence(sequence), timeout)

    def stats(self) -> dict[str, Any]:
        """Levels, bytes, memory, stalls, debt, amplification, leases and retention, as nested plain values.

        Counts are since the opening, and so is the write amplification.

        >>> db.stats()["amplification"]                                         # doctest: +SKIP
        {'write': 3.1, 'space': 1.1, 'read': 5}
        """
        return collect(self._core)

    # The log

    @property
    def flushed_sequence(self) -> int:
        """Tables hold everything up to it; recovery needs the log after it."""
        return self._core.version.flushed.sequence

    @property
    def log_kept_bytes(self) -> int:
        """How much log stays, whether anybody needs it or not."""
        return self._core.options.log_retention_bytes

    @property
    def log_free_bytes(self) -> int:
        """What is free where the log is written."""
        return self._core.env.fs.free_bytes(self._core.catalog.live)

    @property
    def log_room_bytes(self) -> int:
        """How much more log the disk takes before its floor; negative below it."""
        return self.log_free_bytes - self._core.options.log_disk_floor_bytes

    def get_updates_since(self, sequence: int) -> UpdateIterator:
        """Updates from the batch that holds `sequence`, of 0 from the first; raises LogGoneError when the log
        no longer does.

        >>> updates = db.get_updates_since(last_seen + 1)                       # doctest: +SKIP
        >>> while (update := updates.next(timeout=60)) is not None:             # doctest: +SKIP
        ...     apply(update.batch.operations)
        ...     last_seen = update.position.sequence
        """
        self._progress.raise_if_ended()
        return UpdateIterator(self._core, Sequence(max(1, sequence)), keeps=self)

    def read_log(self, start: int, *, written: bool = False) -> LogCursor:
        """Raw durable frames from the one that holds `start`; raises LogGoneError. With `written` also those
        that are not durable yet: a loss of power may take them."""
        self._progress.raise_if_ended()
        check_start(self._core, start)
        return LogCursor(self._core.catalog, self._core.database_id, Sequence(start), written=written)

    def sequence_at_time(self, commit_time_us: int) -> int:
        """The first sequence number of the first durable batch committed at that time or later.

        Microseconds since 1970, as in `Update.commit_time`. When all are earlier it is the number of the next
        batch. Raises LogGoneError when the log begins so late that an older batch, gone now, may be the one.

        >>> midnight = db.sequence_at_time(1_800_000_000_000_000)               # doctest: +SKIP
        >>> for update in db.get_updates_since(midnight): ...                   # doctest: +SKIP
        """
        self._progress.raise_if_ended()
        return sequence_at_time(self._core, commit_time_us)

    def position_at(self, sequence: int) -> Position | None:
        """The position after the batch that holds `sequence`; None when the log no longer tells."""
        return position_at(self._core, Sequence(sequence))

    @property
    def oldest_log_sequence(self) -> int:
        """The first sequence number that the log holds, or will hold when it is empty."""
        oldest = self._core.catalog.oldest_sequence()
        return self._progress.durable + 1 if oldest is None else oldest

    def get_sorted_wal_files(self) -> list[LogFile]:
        """Archived and live segments, oldest first: one moment's list, however segments move meanwhile.

        >>> [file.last_sequence for file in db.get_sorted_wal_files()]           # doctest: +SKIP
        [48211, 60003]
        """
        return sorted_log_files(self._core)
