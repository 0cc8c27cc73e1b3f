"""The result of explaining a file, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from replicad.errors import CorruptionError


@dataclass(frozen=True, slots=True)
class Damage:
    """The first bytes that are not what was written."""

    offset: int
    reason: str

    @classmethod
    def of(cls, error: CorruptionError, base: int = 0) -> Damage:
        """From an error whose offset counts from `base`."""
        reason = error.reason
        if error.expected is not None or error.got is not None:
            reason += f" (expected {error.expected}, got {error.got})"
        return cls(base + (error.offset or 0), reason)


@dataclass(slots=True)
class Explanation:
    """A file, explained: facts about the whole, then one entry for each part that follows in it.

    Every part has an `offset` and a `length`. `damage` is None when every checksum was right.
    """

    kind: str
    size_bytes: int
    header: dict[str, Any] = field(default_factory=dict)
    part_name: str = "part"
    parts: list[dict[str, Any]] = field(default_factory=list)
    damage: Damage | None = None
    notes: list[str] = field(default_factory=list)
