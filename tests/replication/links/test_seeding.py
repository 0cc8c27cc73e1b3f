"""What becomes of a seed: the table of cases, by hand. The source has seen its own clock through 100, THIRD
through 50, and has forgotten deletions through 60."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replicad.replication.links.batches import Write
from replicad.replication.links.merge import UNSTAMPED, KeyHere, LinkOperation
from replicad.replication.links.records import KeyStamp, OriginRecord
from replicad.replication.links.seeding import KeyRange, SeedPlace, Sorted, sort_part
from replicad.replication.links.stamps import Stamp

SOURCE, THIRD = b"s" * 16, b"t" * 16
PLACE = SeedPlace(
    SOURCE, 1, 9, {SOURCE: OriginRecord(1, 9, 100), THIRD: OriginRecord(1, 5, 50)}, horizon_us=60
)
NOTHING = KeyHere(None, None)


def here(time_us: int, origin: bytes = THIRD, value: bytes | None = b"v") -> KeyHere:
    """A key with its stamp; a time of 0 stands for none."""
    stamp = KeyStamp(Stamp(time_us, origin), value is None) if time_us else None
    return KeyHere(value, stamp)


def sorted_(
    part: list[LinkOperation],
    alone: list[tuple[bytes, KeyHere]],
    present: KeyHere = NOTHING,
    *,
    place: SeedPlace = PLACE,
    horizon_us: int | None = 0,
) -> Sorted:
    return sort_part(
        "default",
        part,
        alone,
        place=place,
        present=lambda family, key: present,
        known={THIRD: OriginRecord(1, 3, 30)},
        horizon_us=horizon_us,
    )


@pytest.mark.parametrize(
    ("found", "becomes"),
    [
        (here(0), "gone"),
        (here(50), "gone"),
        (here(55), "new"),
        (here(61), "stays"),
        (here(60, SOURCE), "new"),
        (here(59, SOURCE), "gone"),
        (here(99, SOURCE), "new"),
        (here(101, SOURCE), "stays"),
    ],
    ids=["unstamped", "seen", "never seen", "later", "at the horizon", "its own", "it lost it", "on its way"],
)
def test_what_becomes_of_a_value_that_the_source_lacks(found: KeyHere, becomes: str) -> None:
    result = sorted_([], [(b"k", found)])
    if becomes == "gone":
        assert result == Sorted((LinkOperation("default", b"k", None, Stamp(60, SOURCE)),), ())
    elif becomes == "new":
        assert result == Sorted((), (Write("default", b"k", b"v"),))
    else:
        assert result == Sorted((), ())


def test_a_source_that_leaves_something_out_knows_its_own_writes_only() -> None:
    """Of others' it cannot be told whether it has seen them."""
    place = replace(PLACE, partial=True)
    others = [(b"a", here(0)), (b"b", here(40)), (b"c", here(55))]
    assert sorted_([], others, place=place) == Sorted((), ())
    assert sorted_([], [(b"k", here(59, SOURCE))], place=place).won
    assert sorted_([], [(b"k", here(99, SOURCE))], place=place).new


def test_a_source_without_a_horizon_has_forgotten_nothing() -> None:
    place = replace(PLACE, horizon_us=0)
    assert sorted_([], [(b"a", here(0)), (b"b", here(40))], place=place) == Sorted((), ())


def test_a_newcomer_writes_anew_what_it_holds_alone() -> None:
    """It has no stamps of its own; what has one came over a link."""
    result = sorted_([], [(b"a", here(0)), (b"b", here(40))], horizon_us=None)
    assert result == Sorted((), (Write("default", b"a", b"v"),))


@pytest.mark.parametrize(("time_us", "is_late"), [(30, False), (31, True)])
def test_a_late_write_is_written_anew(time_us: int, is_late: bool) -> None:
    """It is at or before the horizon here, and nobody here has seen it: it was not deleted."""
    part = [LinkOperation("default", b"k", b"v", Stamp(time_us, THIRD))]
    new = (Write("default", b"k", b"v"),) if is_late else ()
    assert sorted_(part, [], horizon_us=40) == Sorted((), new)


def test_a_newer_write_of_the_source_that_it_lost_is_given_back() -> None:
    """Its own log would not take it."""
    part = [LinkOperation("default", b"k", b"old", Stamp(20, THIRD))]
    assert sorted_(part, [], here(90, SOURCE, b"new")) == Sorted((), (Write("default", b"k", b"new"),))
    assert sorted_(part, [], here(101, SOURCE, b"new")) == Sorted((), ())
    assert sorted_(part, [], here(90, THIRD, b"new")) == Sorted((), ())


def test_later_writes_of_the_source_are_not_forgotten() -> None:
    """Where its clock is behind its horizon, it may still make stamps before that."""
    place = SeedPlace(SOURCE, 1, 9, {SOURCE: OriginRecord(1, 9, 40)}, horizon_us=60)
    assert place.forgotten == Stamp(40, SOURCE)


def test_an_old_deletion_does_not_stand_for_one_that_was_forgotten() -> None:
    """The source has a stamp of an older deletion, and may have forgotten a later one."""
    part = [LinkOperation("default", b"k", None, Stamp(20, SOURCE))]
    result = sorted_(part, [], here(50))
    assert result.won == (LinkOperation("default", b"k", None, Stamp(60, SOURCE)),)


def test_which_keys_a_range_holds() -> None:
    assert [KeyRange(b"a", b"c").holds(key) for key in (b"a", b"b", b"c", b"d")] == [False, True, True, False]
    assert KeyRange(None, None).holds(b"")
    assert Stamp(0, b"\0" * 16) > UNSTAMPED
