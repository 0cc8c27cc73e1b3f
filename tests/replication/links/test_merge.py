"""What becomes of a batch that arrives: the table of cases, by hand."""

from __future__ import annotations

import pytest

from replicad.replication.links.annotation import HOPS_MAX, Provenance
from replicad.replication.links.merge import (
    UNSTAMPED,
    Applied,
    KeyHere,
    LinkBatch,
    LinkBroken,
    LinkOperation,
    judge,
    wins,
)
from replicad.replication.links.records import KeyStamp, OriginRecord
from replicad.replication.links.stamps import AHEAD_US_MAX, HybridClock, Stamp

OWN, THERE, PEER = b"o" * 16, b"t" * 16, b"p" * 16
NOW_US = 1_000_000_000


def batch(
    first: int = 11, last: int = 12, *, epoch: int = 2, fork: int = 5, hops: int = 1, **more: object
) -> LinkBatch:
    origin = more.get("origin", THERE)
    assert isinstance(origin, bytes)
    time_us = more.get("time_us", 100)
    assert isinstance(time_us, int)
    return LinkBatch(
        provenance=Provenance(
            origin=origin,
            peer=PEER,
            epoch=epoch,
            fork=fork,
            first=first,
            last=last,
            frontier_us=90,
            hops=hops,
        ),
        operations=(LinkOperation("default", b"k", b"v", Stamp(time_us, origin)),),
    )


NOTHING = KeyHere(None, None)
SEEN = KeyHere(b"v", KeyStamp(Stamp(100, THERE), False))


def judged(
    arrived: LinkBatch, horizon_us: int = 0, silence_us: int = 0, here: KeyHere = NOTHING
) -> Applied | None:
    return judge(
        arrived,
        own=OWN,
        known=OriginRecord(2, 10, 80),
        now_us=NOW_US,
        horizon_us=horizon_us,
        silence_us=silence_us,
        present=lambda family, key: here,
    )


def test_the_next_batch_of_its_origin_is_applied() -> None:
    """And the origin is as far as the batch."""
    applied = judged(batch())
    assert applied is not None and len(applied.won) == 1
    assert applied.origin == OriginRecord(2, 12, 90)


@pytest.mark.parametrize(
    "arrived",
    [batch(origin=OWN), batch(5, 10), batch(3, 4), batch(90, 99, epoch=1)],
    ids=["home", "seen", "old", "epoch"],
)
def test_what_was_seen_is_dropped(arrived: LinkBatch) -> None:
    """Its own, and what came by another way; a later sequence number of an older epoch as well."""
    assert judged(arrived, here=SEEN) is None


def test_what_an_origin_lost_is_merged_without_a_place() -> None:
    """A batch of an older epoch that was not seen here: by its own log the origin never made it."""
    applied = judged(batch(90, 99, epoch=1))
    assert applied is not None and applied.is_astray
    assert len(applied.won) == 1 and applied.origin == OriginRecord(2, 10, 80)


@pytest.mark.parametrize(
    ("arrived", "said"),
    [
        (batch(12, 13), "batches 11 to 11 of"),
        (batch(hops=HOPS_MAX + 1), "does not drop what it has seen"),
        (batch(9, 9, epoch=3, fork=8), "lost batches that are here"),
        (batch(time_us=NOW_US + AHEAD_US_MAX + 1), "ahead of the clock here"),
    ],
)
def test_what_breaks_a_link_is_said(arrived: LinkBatch, said: str) -> None:
    with pytest.raises(LinkBroken, match=said):
        judged(arrived)


def test_an_origin_that_was_silent_for_too_long_is_seeded() -> None:
    """Its frontier is 80 here, and 90 in the batch."""
    assert judged(batch(), horizon_us=80, silence_us=10) is not None
    for horizon_us, silence_us in ((81, 0), (0, 9)):
        with pytest.raises(LinkBroken, match="was silent for so long"):
            judged(batch(), horizon_us, silence_us)


@pytest.mark.parametrize(
    ("time_us", "value", "here", "horizon_us", "expected"),
    [
        (5, b"v", KeyHere(b"x", KeyStamp(Stamp(4, PEER), False)), 0, True),
        (5, b"v", KeyHere(b"x", KeyStamp(Stamp(5, OWN), False)), 0, True),
        (5, b"v", KeyHere(b"x", KeyStamp(Stamp(5, THERE), False)), 0, False),
        (5, b"v", KeyHere(None, KeyStamp(Stamp(6, PEER), True)), 0, False),
        (5, None, KeyHere(b"x", None), 0, True),
        (5, b"v", KeyHere(None, None), 4, True),
        (5, b"v", KeyHere(None, None), 5, False),
        (5, b"v", KeyHere(b"x", None), 9, True),
        (0, b"v", KeyHere(b"x", None), 0, False),
        (0, b"z", KeyHere(b"x", None), 0, True),
        (0, b"z", KeyHere(b"x", None), 1, False),
        (0, b"v", KeyHere(None, None), 0, True),
        (0, b"v", KeyHere(None, None), 1, False),
        (0, None, KeyHere(b"x", None), 0, False),
        (0, b"v", KeyHere(b"x", None), None, True),
        (0, b"v", KeyHere(None, None), None, True),
        (0, b"v", KeyHere(b"x", KeyStamp(Stamp(1, PEER), False)), None, False),
    ],
)
def test_which_write_stays(
    time_us: int, value: bytes | None, here: KeyHere, horizon_us: int | None, expected: bool
) -> None:
    """The larger stamp; of the same time the larger origin. A time of 0 stands for no stamp."""
    stamp = Stamp(time_us, THERE) if time_us else UNSTAMPED
    assert wins(LinkOperation("default", b"k", value, stamp), here, horizon_us) is expected


def test_the_clock_never_stands_still_and_follows_what_it_sees() -> None:
    """Whatever the wall clock does."""
    clock = HybridClock(10)
    assert [clock.next(5), clock.next(5), clock.next(20)] == [11, 12, 20]
    clock.see(50)
    assert clock.next(21) == 51
