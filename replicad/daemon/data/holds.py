"""Several parts that need log, as one."""

from __future__ import annotations

from collections.abc import Iterable

from replicad.store.holds.log_holds import HeldSegment, LogHolds


class AllHolds:
    """Satisfies the store's `LogHolds`: log that one of them needs stays."""

    def __init__(self, holds: Iterable[LogHolds]) -> None:
        self._holds = tuple(holds)

    def oldest_needed(self) -> int | None:
        needed = (hold.oldest_needed() for hold in self._holds)
        return min((sequence for sequence in needed if sequence is not None), default=None)

    def enforce(self, files: list[HeldSegment], newest: int, flushed: int, short_bytes: int, /) -> None:
        for hold in self._holds:
            hold.enforce(files, newest, flushed, short_bytes)
