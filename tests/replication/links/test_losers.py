"""Which writes are kept that lost."""

from __future__ import annotations

import pytest

from replicad.errors import InvalidArgument
from replicad.replication.links.annotation import Provenance
from replicad.replication.links.losers import Keep, decode_loser, kept, kept_until
from replicad.replication.links.merge import KeyHere, LinkBatch, LinkOperation
from replicad.replication.links.options import LinkOptions
from replicad.replication.links.records import KeyStamp
from replicad.replication.links.stamps import Stamp

THERE = b"t" * 16
NOW_US = 1_000_000
BATCH = LinkBatch(
    provenance=Provenance(origin=THERE, peer=THERE, epoch=1, fork=0, first=1, last=2, frontier_us=9, hops=1)
)


def lost(*, size: int = 1, winner: int = 8) -> tuple[LinkOperation, KeyHere]:
    operation = LinkOperation("default", b"k", b"v" * size, Stamp(7, THERE))
    return operation, KeyHere(b"w", KeyStamp(Stamp(winner, THERE), False))


def test_what_lost_is_kept_with_what_it_lost_against() -> None:
    """Until its time is over; the same write that came again has not lost."""
    (write,) = kept(Keep("paris", 2.0), BATCH, [lost(), lost(winner=7)], NOW_US)
    assert write.value is not None
    record = decode_loser(write.value)
    assert (record.link, record.value, record.stamp, record.winner) == (
        "paris",
        b"v",
        Stamp(7, THERE),
        Stamp(8, THERE),
    )
    assert kept_until(NOW_US + 1_999_999) < write.key < kept_until(NOW_US + 2_000_000)


def test_what_has_no_room_in_the_batch_is_not_kept() -> None:
    """The batch of the others is written in any case."""
    many = [lost(size=1000)] * 3
    assert len(list(kept(Keep("paris", 2.0), BATCH, many, NOW_US, room_bytes=2500))) == 2
    assert list(kept(Keep("paris", 2.0), BATCH, many, NOW_US, room_bytes=-5)) == []


def test_links_that_cannot_be_are_refused() -> None:
    for wrong, said in (
        ({"keep_losers_seconds": 1e15}, "ten years"),
        ({"source": "a:1,b:2,a:1"}, "an address twice"),
        ({"prefixes": ("",)}, "1 to 128 bytes"),
        ({"prefixes": ("x",) * 9}, "at most 8"),
        ({"families": ()}, "families"),
    ):
        with pytest.raises(InvalidArgument, match=said):
            LinkOptions(**({"source": "a:1"} | wrong))
