"""How the log is archived."""

from __future__ import annotations

from dataclasses import dataclass

from replicad.options import MIB, check_numbers


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions:
    """`seconds`: how old the newest durable batch may get before it is archived; segments that are sealed
    go at once. Small objects become one when they have `object_bytes` or there are `parts_max` of them.
    """

    seconds: float = 1.0
    object_bytes: int = 16 * MIB
    parts_max: int = 600

    def __post_init__(self) -> None:
        check_numbers(self)
