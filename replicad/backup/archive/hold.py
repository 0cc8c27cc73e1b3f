"""Log that waits to be archived: it stays on the node, up to a cap."""

from __future__ import annotations

from replicad.store.holds.log_holds import HeldSegment


class ArchiveHold:
    """Satisfies the store's `LogHolds`. Lets go while it would hold more than `bytes_max`, or the disk is
    short of room: then the archive will have a gap rather than the node no space.

    Set by the archiver's thread, read by the store's.
    """

    def __init__(self, bytes_max: int) -> None:
        self.needed: int = 1
        """The first sequence number that is not archived for good; all log, until somebody knows."""
        self.bytes_max = bytes_max
        self._released = False

    @property
    def released(self) -> bool:
        """Whether it holds nothing, because it would be too much."""
        return self._released

    def oldest_needed(self) -> int | None:
        return None if self._released else self.needed

    def enforce(self, files: list[HeldSegment], newest: int, flushed: int, short_bytes: int, /) -> None:
        """Judges anew, with the log as it is now."""
        held = sum(file.size_bytes for file in files if self.needed <= file.last_sequence <= flushed)
        self._released = held > self.bytes_max or (short_bytes > 0 and held > 0)
