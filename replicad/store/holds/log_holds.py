"""Who needs log beyond the store itself, as the store asks them: a node's slots, or several such holders."""

from __future__ import annotations

from typing import Protocol

from replicad.types import Sequence


class HeldSegment(Protocol):
    """What a hold is judged by."""

    @property
    def first_sequence(self) -> Sequence: ...
    @property
    def last_sequence(self) -> Sequence: ...
    @property
    def size_bytes(self) -> int: ...


class LogHolds(Protocol):
    """Who needs log beyond the store itself: the slots of replicas."""

    def oldest_needed(self) -> int | None:
        """The lowest sequence number that must stay; None when nothing must."""
        ...

    def enforce(self, files: list[HeldSegment], newest: int, flushed: int, short_bytes: int, /) -> None:
        """Called before log is let go: a holder that is over its limit lets go now. `files` is the log,
        oldest first, `newest` its durable end; what ends at or before `flushed` goes when nobody holds it,
        and `short_bytes` are missing to the room on disk that shall stay free."""
        ...
