"""From a batch of the log to what a link carries, and back."""

from __future__ import annotations

from replicad.replication.links.annotation import Provenance
from replicad.replication.links.batches import (
    LinkReader,
    Logged,
    Write,
    clock_write,
    introduced,
    stamped,
)
from replicad.replication.links.merge import LinkBatch
from replicad.replication.links.records import ORIGINS, OriginRecord
from replicad.replication.links.stamps import Stamp

OWN, THERE, PEER = b"o" * 16, b"t" * 16, b"p" * 16
IDS = {"default": 0, "other": 1}


def read(writes: list[Write], annotations: tuple[bytes, ...] = (), through: int = 4) -> LinkBatch | None:
    reader = LinkReader(OWN, through, lambda family, _: family == "default", {0: "default", 1: "other"}.get)
    return reader.read(Logged(epoch=2, fork=3, last=9, writes=tuple(writes), annotations=annotations))


def test_a_clients_batch_is_carried_with_its_stamps() -> None:
    """Only linked families; annotations of the application as they are."""
    data = [Write("default", b"k", b"v"), Write("default", b"d", None), Write("other", b"k", b"v")]
    stamp = Stamp(7, OWN)
    batch = read([*data, *stamped(data, {"default"}, stamp, 4, IDS.__getitem__)], (b"app", b"replicad.ours"))
    assert batch is not None
    assert [tuple(each) for each in batch.operations] == [
        ("default", b"k", b"v", stamp),
        ("default", b"d", None, stamp),
    ]
    assert batch.annotations == (b"app",)
    came = batch.provenance
    assert (came.origin, came.peer, came.hops) == (OWN, OWN, 1)
    assert (came.epoch, came.fork, came.first, came.last, came.frontier_us) == (2, 3, 5, 9, 7)


def test_what_is_not_linked_is_not_carried() -> None:
    """The next batch says that nothing was missed."""
    assert stamped([Write("other", b"k", b"v")], {"default"}, Stamp(7, OWN), 4, IDS.__getitem__) == []
    assert read([Write("other", b"k", b"v")]) is None


def test_what_is_shipped_further_came_over_one_more_link() -> None:
    """It stays its origin's; the peer is this primary."""
    came = Provenance(origin=THERE, peer=PEER, epoch=1, fork=0, first=1, last=2, frontier_us=5, hops=3)
    batch = read([Write("default", b"k", b"v"), clock_write(OWN, 9, 4)], (came.encode(),))
    assert batch is not None
    assert (batch.provenance.origin, batch.provenance.peer, batch.provenance.hops) == (THERE, OWN, 4)
    assert (batch.provenance.first, batch.provenance.last, batch.provenance.frontier_us) == (1, 2, 5)


def test_a_member_is_told_to_those_who_read_further() -> None:
    """With the clock that comes after it."""
    batch = read([introduced(PEER), clock_write(OWN, 9, 4)])
    assert batch is not None and batch.members == (PEER,)


def test_a_batch_says_what_its_origin_has_seen() -> None:
    """Of its own batch the clock says it, of another origin's the record that is written with it."""
    own = read([clock_write(OWN, 9, 4)])
    assert own is not None and own.seen_us == 4
    came = Provenance(origin=PEER, peer=PEER, epoch=1, fork=0, first=1, last=2, frontier_us=9, hops=1)
    record = Write(ORIGINS, PEER, OriginRecord(1, 2, 9, seen_us=6).encode())
    foreign = read([record, clock_write(OWN, 9, 4)], (came.encode(),))
    assert foreign is not None and foreign.seen_us == 6
