"""Which epochs a node may begin by itself: numbers that no other node of its cluster takes.

    SEATS = 128, nodes a, b, c with the seats 5, 77, 78

    epoch     … 132  133  134 … 205  206 … 260  261 …
    begun by         a          b    c           a

So two nodes that are promoted without hearing of each other begin two epochs, and the higher one wins
wherever both are heard of. The seat of a node follows from its id. Where two nodes of a cluster would have
one seat, the later id takes the next that is free: all that know the same nodes come to the same seats.
"""

from __future__ import annotations

from collections.abc import Iterable

SEATS = 128
"""More than the nodes that one node knows (`NODES_MAX`), and less than an epoch may be ahead of another
(`EPOCH_STEP_MAX`)."""


def own_epoch(at_least: int, me: bytes, others: Iterable[bytes]) -> int:
    """The first epoch from `at_least` on that is this node's. `others` are the ids of the nodes that it
    knows."""
    seat = seat_of(me, others)
    return at_least + (seat - at_least) % SEATS


def seat_of(me: bytes, others: Iterable[bytes]) -> int:
    """Those whose ids ask for different seats get them; the others come after, in the order of their ids."""
    nodes = sorted({me, *others})
    wanted = {node: int.from_bytes(node[:8], "big") % SEATS for node in nodes}
    taken: dict[int, bytes] = {}
    late = []
    for node in nodes:
        if taken.setdefault(wanted[node], node) != node:
            late.append(node)
    for node in late:
        seat = wanted[node]
        while seat in taken:
            seat = (seat + 1) % SEATS
        taken[seat] = node
    return next(seat for seat, node in taken.items() if node == me)
