"""A cut: one position, the files that hold it, and a snapshot at that very sequence number.

While it is open its tables keep their names and its log stays where it is. Checkpoint, live files and
bootstrap are made of it. A lease, which may end by itself, is what keeps it open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from replicad.store.directory.options_file import options_for_copy
from replicad.store.holds.leases import check_terms
from replicad.store.manifest.state import ManifestState
from replicad.store.reading import Snapshot
from replicad.store.syncer import Syncer
from replicad.store.table.meta import TableMeta
from replicad.store.wal.segment import HEADER_BYTES, Segment
from replicad.store.writable_core import WritableCore
from replicad.types import Sequence


@dataclass(frozen=True, slots=True)
class LogPart:
    """The first `length` bytes of a segment: whole frames that belong to the cut."""

    segment: Segment
    length: int

    @property
    def path(self) -> Path:
        return self.segment.path

    @property
    def whole(self) -> bool:
        """Nothing was written to the segment after the cut, and nothing will be."""
        return self.segment.sealed and self.segment.size_bytes == self.length


class _Held:
    """What a cut holds. Apart from the cut, so that a cut that is dropped lets go at once."""

    def __init__(
        self, core: WritableCore, tables: list[TableMeta], log_from: Sequence, snapshot: Snapshot
    ) -> None:
        self._core = core
        self._tables = tables
        self._log_from = log_from
        self._pin = core.pins.take([meta.number for meta in tables], log_from)
        self.snapshot = snapshot

    def bytes(self) -> int:
        """Of tables and log that the database itself no longer needs."""
        version = self._core.version
        needed = {table.meta.number for table in version.tables()}
        tables = sum(meta.size_bytes for meta in self._tables if meta.number not in needed)
        return tables + sum(
            segment.size_bytes
            for segment in self._core.catalog.segments()
            if self._log_from <= segment.last_sequence <= version.flushed.sequence
        )

    def let_go(self, why: str) -> None:
        self.snapshot.close(why)
        self._core.pins.release(self._pin)
        self._core.remove_tables()


class Cut:
    """Made by `Database.cut`. A context manager; closing it lets go of files, log and snapshot.

    When its lease ends first, it is closed in the same way. On a closed cut everything but `position` and
    `flushed` raises ClosedError, which says why; its snapshot says the same.
    """

    def __init__(
        self,
        core: WritableCore,
        syncer: Syncer,
        *,
        holder: str,
        seconds: float | None = None,
        bytes_max: int | None = None,
        keeps: object = None,
    ) -> None:
        """Apart, since it is many steps (`env.apart`)."""
        check_terms(seconds, bytes_max)
        self._core = core
        self._keeps = keeps
        """Not dropped before this is: the database."""
        self.directory = core.path

        # Position, tables and log are of one moment: no batch is appended and no version published meanwhile.
        with core.write_lock, core.version_lock:
            version = core.version
            core.progress.raise_if_ended()
            self.position = core.log.written
            self.commit_time_us = core.log.frames.commit_time_us
            """Of the batch that ends at the position; 0 in an empty database."""
            self.taken_us = core.commit_clock.now_us(self.commit_time_us)
            self.flushed = version.flushed
            self._families = version.recorded
            self._tables = [table.meta for table in version.tables()]
            held = _Held(
                core,
                self._tables,
                Sequence(self.flushed.sequence + 1),
                Snapshot(core, self.position.sequence),
            )
            parts = core.log.extent()

        self._snapshot = held.snapshot
        self._lease = core.leases.take(holder, seconds, bytes_max, held.bytes, held.let_go)
        try:
            core.progress.raise_if_ended()  # Who closes ends the leases that are there.

            # A copy must not hold what the original could still lose in a crash.
            syncer.sync_through(self.position.sequence)
        except BaseException:
            self.close()
            raise

        self._log = [
            LogPart(segment, length)
            for segment, length in parts
            if segment.last_sequence > self.flushed.sequence and length > HEADER_BYTES
        ]

    @property
    def tables(self) -> list[TableMeta]:
        self.raise_if_closed()
        return self._tables

    @property
    def log(self) -> list[LogPart]:
        """What the tables do not hold yet, through the position."""
        self.raise_if_closed()
        return self._log

    @property
    def snapshot(self) -> Snapshot:
        self.raise_if_closed()
        return self._snapshot

    def raise_if_closed(self) -> None:
        """Raises ClosedError, also when the lease turns out to be over now.

        What was copied before a call that did not raise is whole.
        """
        if self._core.progress.forked:
            self._core.progress.raise_if_ended()
        self._core.leases.check(self._lease)

    @property
    def options(self) -> bytes:
        """The options file of a copy made of this cut."""
        return options_for_copy(self._core.options, self._core.unknown_options)

    @property
    def state(self) -> ManifestState:
        """The manifest of a copy made of this cut."""
        self.raise_if_closed()
        known = self._core.state

        # A promotion may have begun an epoch after the cut: the copy must not list it.
        return ManifestState(
            database_id=known.database_id,
            parent=known.parent,
            copy=True,
            epochs=tuple(record for record in known.epochs if record.epoch <= self.position.epoch),
            next_file=known.next_file,
            flushed=self.flushed,
            synced=self.position,
            log_start=known.log_start,
            commit_time_us=known.commit_time_us,
            families=self._families,
            tables=tuple(self._tables),
        )

    def close(self) -> None:
        leases, lease = self._core.leases, self._lease
        self._core.env.runner.apart(lambda: leases.end(lease, "the cut is closed"))

    def __enter__(self) -> Cut:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
