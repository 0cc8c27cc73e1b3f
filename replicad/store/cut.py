"""A cut: one position, the files that hold it, and a snapshot at that very sequence number.

While it is open its tables keep their names and its log stays where it is. Checkpoint and bootstrap are made
of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from replicad.store.core import Core
from replicad.store.manifest.state import ManifestState
from replicad.store.reading import Snapshot
from replicad.store.wal.segment import HEADER_BYTES, Segment
from replicad.types import Sequence


@dataclass(frozen=True, slots=True)
class LogPart:
    """So many bytes of a segment: whole frames that belong to the cut."""

    segment: Segment
    length: int

    @property
    def path(self) -> Path:
        return self.segment.path

    @property
    def whole(self) -> bool:
        """Nothing was written to the segment after the cut, and nothing will be."""
        return self.segment.sealed and self.segment.size_bytes == self.length


class Cut:
    """Made by `Database.cut`. A context manager; closing it lets go of files, log and snapshot."""

    def __init__(self, core: Core) -> None:
        assert core.syncer is not None
        self._core = core
        self.directory = core.path
        with core.write_lock, core.version_lock:
            version = core.version
            self.position = core.log.written
            self.flushed = version.flushed
            self.tables = [table.meta for table in version.tables()]
            self._log_from = Sequence(self.flushed.sequence + 1)
            core.pin(self.tables)
            core.log_pins[self._log_from] += 1
            self.snapshot = Snapshot(core, self.position.sequence)
            parts = core.log.extent()
        self._open = True
        try:
            core.syncer.sync_through(self.position.sequence)
        except BaseException:
            self.close()
            raise
        self.log = [
            LogPart(segment, length)
            for segment, length in parts
            if segment.last_sequence > self.flushed.sequence and length > HEADER_BYTES
        ]

    @property
    def state(self) -> ManifestState:
        """The manifest of a copy made of this cut."""
        known = self._core.state
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
            tables=tuple(self.tables),
        )

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self.snapshot.close()
        core = self._core
        core.unpin(self.tables)
        with core.version_lock:
            core.log_pins[self._log_from] -= 1
            core.log_pins = +core.log_pins

    def __enter__(self) -> Cut:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
