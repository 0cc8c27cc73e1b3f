"""How the log is archived."""

from __future__ import annotations

from dataclasses import dataclass

from replicad.errors import InvalidArgument
from replicad.options import GIB, MIB


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions:
    """`seconds`: how old the newest durable batch may get before it is archived; segments that are sealed
    go at once. Small objects become one when they have `object_bytes` or there are `parts_max` of them.

    What is not archived yet stays in the node's log, but no more than `hold_bytes_max` because of it.
    """

    seconds: float = 1.0
    object_bytes: int = 16 * MIB
    parts_max: int = 600
    hold_bytes_max: int = 4 * GIB

    def __post_init__(self) -> None:
        for name in ("seconds", "object_bytes", "parts_max"):
            if not getattr(self, name) > 0:
                raise InvalidArgument(f"{name} must be above zero, not {getattr(self, name)!r}")
        if self.hold_bytes_max < 0:
            raise InvalidArgument(f"hold_bytes_max must not be negative, not {self.hold_bytes_max!r}")
