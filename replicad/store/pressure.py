"""Whether writes go on, wait, or are refused: one decision over plain values.

Writes wait while flush or compaction are behind. They are refused when waiting would be for a person: for
room on the disk, when what they wait for found none or what is kept in reserve for it is used up, and for
tables that compaction cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from replicad.errors import CorruptionError, DiskFullError
from replicad.options import Options

Work = Literal["manifest", "flush", "compaction", "archive", "reserve"]
"""What finds no room, or does: the reserve is looked at, the others write."""


NEEDED_BY_WRITES: tuple[Work, ...] = ("manifest", "reserve")
"""Nothing is written without these."""


@dataclass(frozen=True, slots=True)
class Pressure:
    reason: str
    refuses: type[DiskFullError] | type[CorruptionError] | None = None
    """What a write is refused with; None: it waits."""


def pressure(
    sealed: int,
    level0: int,
    options: Options,
    no_room: Mapping[Work, str],
    damage: CorruptionError | None = None,
) -> Pressure | None:
    """`sealed` memtables wait to be flushed, `level0` tables of one family to be compacted; `no_room` says
    what background work lacks, `damage` what compaction stopped at. None: writes go on."""
    for needed in NEEDED_BY_WRITES:
        if needed in no_room:
            return Pressure(no_room[needed], DiskFullError)

    waiting: str | None = None
    work: Work = "flush"
    if sealed >= options.memtables_max - 1:
        waiting = f"{sealed} memtables wait to be flushed"
    elif level0 >= options.level0_stall_tables:
        waiting, work = f"{level0} tables in level 0 wait to be compacted", "compaction"
    if waiting is None:
        return None

    # Waiting helps only while the work that is waited for can go on by itself.
    if work in no_room:
        return Pressure(f"{waiting}, and {no_room[work]}", DiskFullError)
    if work == "compaction" and damage is not None:
        stopped = f"compaction stopped at damage, {damage.reason}; restore a backup or promote a replica"
        return Pressure(f"{waiting}, and {stopped}", CorruptionError)

    return Pressure(waiting)
