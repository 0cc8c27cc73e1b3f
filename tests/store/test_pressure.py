"""When writes go on, wait, or are refused."""

from __future__ import annotations

import pytest

from replicad import CorruptionError, DiskFullError, Options
from replicad.store.pressure import Pressure, Work, pressure

OPTIONS = Options(memtables_max=3, level0_compaction_tables=2, level0_stall_tables=5)
MEMTABLES = "2 memtables wait to be flushed"
TABLES = "5 tables in level 0 wait to be compacted"


@pytest.mark.parametrize(
    ("sealed", "level0", "no_room", "expected"),
    [
        (0, 0, {}, None),
        (1, 4, {}, None),
        (2, 0, {}, Pressure(MEMTABLES)),
        (0, 5, {}, Pressure(TABLES)),
        (2, 5, {}, Pressure(MEMTABLES)),
        # Nothing has to wait for what finds no room.
        (1, 4, {"flush": "full", "compaction": "full", "archive": "full"}, None),
        (2, 0, {"compaction": "full", "archive": "full"}, Pressure(MEMTABLES)),
        (0, 5, {"flush": "full", "archive": "full"}, Pressure(TABLES)),
        # Waiting would be for room.
        (2, 0, {"flush": "full"}, Pressure(f"{MEMTABLES}, and full", DiskFullError)),
        (0, 5, {"compaction": "full"}, Pressure(f"{TABLES}, and full", DiskFullError)),
        (0, 0, {"reserve": "little is free"}, Pressure("little is free", DiskFullError)),
        (2, 5, {"reserve": "little is free"}, Pressure("little is free", DiskFullError)),
    ],
)
def test_what_waits_for_room_on_the_disk_is_refused(
    sealed: int, level0: int, no_room: dict[Work, str], expected: Pressure | None
) -> None:
    """Refused is what would wait for room on the disk; what waits for work that is done goes on soon."""
    assert pressure(sealed, level0, OPTIONS, no_room) == expected


def test_what_waits_for_damaged_tables_is_refused() -> None:
    """What waits for tables that compaction cannot read would wait for ever."""
    damage = CorruptionError("a block's checksum does not match", path="/data/000012.sst", offset=4096)
    assert pressure(0, 4, OPTIONS, {}, damage) is None
    assert pressure(2, 5, OPTIONS, {}, damage) == Pressure(MEMTABLES)
    found = pressure(0, 5, OPTIONS, {}, damage)
    assert found is not None and found.refuses is CorruptionError
    assert found.reason.startswith(f"{TABLES}, and compaction stopped at damage, a block's checksum")
    full = pressure(0, 5, OPTIONS, {"compaction": "full"}, damage)
    assert full == Pressure(f"{TABLES}, and full", DiskFullError)
