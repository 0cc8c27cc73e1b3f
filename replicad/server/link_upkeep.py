"""What a linked primary does about once a second: it says what its clock is, and forgets what may go."""

from __future__ import annotations

from itertools import islice

from replicad.replication.links.batches import Write
from replicad.replication.links.losers import Loser, decode_loser, kept_until
from replicad.replication.links.records import HORIZON_KEY, LOSERS, STAMPS, decode_key_stamp
from replicad.replication.links.stability import is_forgotten, stable_through_us
from replicad.server.linked_data import LinkedData

LOOKED_AT_ONCE = 1000
"""Records, within one turn of the event loop."""
LOSERS_LOOKED_AT = 20_000
LOSERS_FORGOTTEN = 5000
"""The same."""


class LinkUpkeep:
    def __init__(self, linked: LinkedData) -> None:
        self._linked = linked
        self._looked_through: bytes | None = None

    def move_clock(self) -> None:
        """Others may forget deletions then."""
        linked = self._linked
        if linked.families and linked.is_ready() and linked.is_member:
            linked.move_clock()

    def forget_deletions(self) -> int:
        """Removes stamps of deleted keys that are older than all that can still arrive, of the next keys in
        their order; how many."""
        linked = self._linked
        if not linked.families or not linked.is_ready():
            return 0
        silent_us = max(0, linked.clock.now_us() - linked.silence_us) if linked.silence_us else 0
        through_us = stable_through_us(linked.origins(), linked.own, silent_us)
        if not through_us:
            return 0
        looked_at = list(linked.scan(STAMPS, self._looked_through, limit=LOOKED_AT_ONCE))
        self._looked_through = looked_at[-1][0] + b"\0" if len(looked_at) == LOOKED_AT_ONCE else None
        gone = [
            key
            for key, value in looked_at
            if key != HORIZON_KEY and is_forgotten(decode_key_stamp(value), through_us)
        ]
        if gone:
            linked.move_horizon(max(through_us, linked.horizon_us), gone)
        return len(gone)

    def forget_losers(self) -> int:
        """Removes records of what lost, once their time is over; how many."""
        linked = self._linked
        if not linked.has(LOSERS) or not linked.is_ready():
            return 0
        over = linked.scan(LOSERS, None, kept_until(linked.clock.now_us()), limit=LOSERS_FORGOTTEN)
        gone = [Write(LOSERS, key, None) for key, _ in over]
        if gone:
            linked.write(gone)
        return len(gone)


def losers(linked: LinkedData, link: str | None, count: int) -> list[Loser]:
    """What lost and is kept, the newest first; of one link, or of all. `LOSERS_LOOKED_AT` are looked at, at
    most, those first that are kept longest."""
    if not linked.has(LOSERS):
        return []
    found = (decode_loser(value) for _, value in linked.scan(LOSERS, reverse=True, limit=LOSERS_LOOKED_AT))
    chosen = islice((each for each in found if link is None or each.link == link), count)
    return sorted(chosen, key=lambda each: each.arrived_us, reverse=True)
