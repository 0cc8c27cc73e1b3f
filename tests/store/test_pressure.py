"""When writes go on, wait, or are refused."""

from __future__ import annotations

import pytest

from replicad import Options
from replicad.store.pressure import Pressure, Work, pressure

OPTIONS = Options(memtables_max=3, level0_compaction_tables=2, level0_stall_tables=5)
MEMTABLES = "2 memtables wait to be flushed"
TABLES = "5 tables in level 0 wait to be compacted"


@pytest.mark.parametrize(
    ("sealed", "level0", "no_room", "expected"),
    [
        (0, 0, {}, None),
        (1, 4, {}, None),
        (2, 0, {}, Pressure(MEMTABLES, refuses=False)),
        (0, 5, {}, Pressure(TABLES, refuses=False)),
        (2, 5, {}, Pressure(MEMTABLES, refuses=False)),
        # Nothing has to wait for what finds no room.
        (1, 4, {"flush": "full", "compaction": "full", "archive": "full"}, None),
        (2, 0, {"compaction": "full", "archive": "full"}, Pressure(MEMTABLES, refuses=False)),
        (0, 5, {"flush": "full", "archive": "full"}, Pressure(TABLES, refuses=False)),
        # Waiting would be for room.
        (2, 0, {"flush": "full"}, Pressure(f"{MEMTABLES}, and full", refuses=True)),
        (0, 5, {"compaction": "full"}, Pressure(f"{TABLES}, and full", refuses=True)),
        (0, 0, {"reserve": "little is free"}, Pressure("little is free", refuses=True)),
        (2, 5, {"reserve": "little is free"}, Pressure("little is free", refuses=True)),
    ],
)
def test_cases(sealed: int, level0: int, no_room: dict[Work, str], expected: Pressure | None) -> None:
    """Refused is what would wait for room on the disk; what waits for work that is done goes on soon."""
    assert pressure(sealed, level0, OPTIONS, no_room) == expected
