"""Whether writes go on, wait, or are refused: one decision over plain values.

Writes wait while flush or compaction are behind. They are refused when waiting would be for room on the disk:
when what they wait for found none, or when what is kept in reserve for it is being used up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from replicad.options import Options

Work = Literal["flush", "compaction", "archive", "reserve"]
"""What finds no room, or does: the reserve is looked at, the others write."""


@dataclass(frozen=True, slots=True)
class Pressure:
    reason: str
    refuses: bool


def pressure(sealed: int, level0: int, options: Options, no_room: Mapping[Work, str]) -> Pressure | None:
    """`sealed` memtables wait to be flushed, `level0` tables of one family to be compacted; `no_room` says
    what background work lacks. None: writes go on."""
    if "reserve" in no_room:
        return Pressure(no_room["reserve"], refuses=True)
    waiting: str | None = None
    work: Work = "flush"
    if sealed >= options.memtables_max - 1:
        waiting = f"{sealed} memtables wait to be flushed"
    elif level0 >= options.level0_stall_tables:
        waiting, work = f"{level0} tables in level 0 wait to be compacted", "compaction"
    if waiting is None:
        return None
    if work in no_room:
        return Pressure(f"{waiting}, and {no_room[work]}", refuses=True)
    return Pressure(waiting, refuses=False)
