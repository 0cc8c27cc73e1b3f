"""States and limits of slots, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from replicad.replication.policy.slot_states import (
    UNKNOWN_SECONDS_MAX,
    LogFacts,
    SlotLimits,
    SlotState,
    log_bytes_after,
    over_limits,
    state_of,
    to_forget,
    to_replace,
)
from replicad.state.records import Slot
from tests.support.replication.fake_store import log_file

FILES = [log_file(101, 200, 1000), log_file(201, 300, 1000), log_file(301, 400, 1000)]
LOG = LogFacts(files=FILES, newest=400, flushed=300)

WIDE = SlotLimits(log_bytes_max=9999)
IDLE = SlotLimits(log_bytes_max=9999, idle_seconds_max=60)


def slot(sequence: int, *, invalid: str | None = None, idle: int = 0) -> Slot:
    return Slot(node_id=b"%016d" % sequence, sequence=sequence, seen_us=1, invalid=invalid, idle_seconds=idle)


@pytest.mark.parametrize(
    ("sequence", "invalid", "kept_bytes", "expected"),
    [
        (400, None, 0, SlotState.RESERVED),
        (250, None, 1500, SlotState.RESERVED),
        (250, None, 1499, SlotState.EXTENDED),
        (100, None, 3000, SlotState.RESERVED),
        (100, "too much", 9999, SlotState.UNRESERVED),
        (99, None, 9999, SlotState.LOST),
        (99, "too much", 9999, SlotState.LOST),
    ],
)
def test_the_state_of_a_slot_is_what_becomes_of_its_log(
    sequence: int, invalid: str | None, kept_bytes: int, expected: SlotState
) -> None:
    """What retention keeps anyway, the reason it let go, and whether the log is there, decide."""
    assert state_of(slot(sequence, invalid=invalid), LOG, kept_bytes) is expected


def test_a_slot_at_the_end_of_an_empty_log_is_not_lost() -> None:
    """A replica that has everything needs no log."""
    empty = LogFacts(files=[], newest=400, flushed=400)
    assert state_of(slot(400), empty, 0) is SlotState.RESERVED
    assert state_of(slot(399), empty, 0) is SlotState.LOST


@pytest.mark.parametrize(
    ("slots", "limits", "short_bytes", "expected"),
    [
        ([slot(100), slot(250)], SlotLimits(log_bytes_max=3000), 0, []),
        ([slot(100), slot(250)], SlotLimits(log_bytes_max=2999), 0, [(100, "held 3000 bytes")]),
        ([slot(100, invalid="x")], SlotLimits(log_bytes_max=1), 0, []),
        ([slot(250, idle=61)], IDLE, 0, [(250, "away for 61 s")]),
        ([slot(250, idle=60)], IDLE, 0, []),
        ([slot(250, idle=10**9)], WIDE, 0, []),
        # Short of room: those furthest behind, no more than needed, and only if log would really go.
        ([slot(100), slot(250)], WIDE, 1, [(100, "1 bytes short")]),
        ([slot(100), slot(250)], WIDE, 1001, [(100, "short"), (250, "1 bytes short")]),
        ([slot(250)], WIDE, 900, []),
        ([slot(350)], WIDE, 5000, []),
        ([slot(100), slot(101)], WIDE, 1, [(101, "short")]),
    ],
)  # fmt: skip
def test_a_slot_over_a_limit_lets_go_and_says_why(
    slots: list[Slot], limits: SlotLimits, short_bytes: int, expected: list[tuple[int, str]]
) -> None:
    """Bytes, idle time and the disk's floor; each slot that lets go says why."""
    facts = LogFacts(files=FILES, newest=400, flushed=300, short_bytes=short_bytes)
    over = over_limits(slots, limits, facts)
    assert [found.sequence for found, _ in over] == [sequence for sequence, _ in expected]
    for (_, reason), (_, words) in zip(over, expected, strict=True):
        assert words in reason


@pytest.mark.parametrize(
    ("sequence", "expected"), [(100, 3000), (200, 2000), (250, 1500), (300, 1000), (400, 0), (999, 0)]
)
def test_log_bytes_count_a_segment_in_part_by_proportion(sequence: int, expected: int) -> None:
    """Whole segments count whole, the one that holds the sequence number in proportion."""
    assert log_bytes_after(FILES, sequence, 400) == expected


def known_slot(node: bytes, **fields: Any) -> Slot:
    return Slot(node_id=node * 16, sequence=1, seen_us=1, **{"acknowledged": 1, **fields})


def test_which_slots_are_forgotten() -> None:
    """Of nobody that acknowledged anything, soon; of one that let go, after as long again; never while
    connected."""
    limits = SlotLimits(log_bytes_max=1, idle_seconds_max=1000.0)
    unknown = known_slot(b"u", acknowledged=0, idle_seconds=UNKNOWN_SECONDS_MAX + 60)
    slots = [
        unknown,
        known_slot(b"n", acknowledged=0, idle_seconds=UNKNOWN_SECONDS_MAX),
        known_slot(b"a", idle_seconds=5000),
        known_slot(b"l", idle_seconds=1500, invalid="away"),
        known_slot(b"g", idle_seconds=2001, invalid="away"),
    ]
    assert [slot.node_id[:1] for slot in to_forget(slots, set(), limits)] == [b"u", b"g"]
    assert to_forget([unknown], {unknown.node_id}, limits) == []
    assert [slot.node_id[:1] for slot in to_forget(slots, (), replace(limits, idle_seconds_max=None))] == [
        b"u"
    ]


def test_which_slot_makes_room() -> None:
    """The one worth least of those that are not connected."""
    slots = [
        known_slot(b"p", idle_seconds=9),
        known_slot(b"q", idle_seconds=8),
        known_slot(b"l", invalid="away"),
        known_slot(b"u", acknowledged=0),
        known_slot(b"x", idle_seconds=99),
        known_slot(b"c", acknowledged=0, idle_seconds=100),
    ]
    connected, known = {b"c" * 16}, {b"p" * 16, b"q" * 16}
    order = []
    while (slot := to_replace(slots, connected, known)) is not None:
        order.append(slot.node_id[:1])
        slots.remove(slot)
    assert order == [b"u", b"l", b"x", b"p", b"q"]
