"""Which epochs a node begins by itself."""

from __future__ import annotations

import random

from replicad.replication.policy.epoch_numbers import SEATS, own_epoch, seat_of
from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX
from replicad.replication.wire.messages import NODES_MAX


def test_nodes_that_know_the_same_nodes_never_begin_the_same_epoch() -> None:
    """However many there are, and although ids ask for one seat."""
    draw = random.Random("seats")
    for count in (2, 3, 10, NODES_MAX + 1):
        nodes = [bytes(7) + bytes([draw.randrange(8)]) + draw.randbytes(8) for _ in range(count)]
        seats = {node: seat_of(node, nodes) for node in nodes}
        assert len(set(seats.values())) == len(set(nodes))
        epochs = {own_epoch(at_least, node, nodes) for node in nodes for at_least in (17, 18, 400)}
        assert all(epoch % SEATS in seats.values() for epoch in epochs)


def test_an_epoch_is_the_next_that_is_the_node_s() -> None:
    """Never below what was asked for, nor further above it than an epoch may be ahead."""
    me = bytes(16)
    assert seat_of(me, ()) == 0
    assert [own_epoch(at_least, me, ()) for at_least in (0, 1, SEATS, SEATS + 1)] == [0, SEATS, SEATS, 256]
    for at_least in range(300):
        assert 0 <= own_epoch(at_least, bytes([7]) * 16, ()) - at_least < SEATS < EPOCH_STEP_MAX


def test_a_node_keeps_its_seat_when_others_come() -> None:
    """Unless one comes that asks for the same, and has a lower id."""
    me, other, twin = bytes(15) + b"\x05", b"\x01" * 16, bytes(15) + b"\x09"
    assert seat_of(me, ()) == seat_of(me, [other]) == seat_of(me, [other, twin])
    assert seat_of(twin, [me]) != seat_of(twin, ())
