"""Seeds that come over a link: parts become batches of this primary, in turns that clients share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from replicad.options import MIB
from replicad.replication.links.batches import merged, seeded
from replicad.replication.links.link_filter import LinkFilter
from replicad.replication.links.merge import LinkBroken, LinkOperation, check_times
from replicad.replication.links.records import LINKED_KEY_BYTES_MAX
from replicad.replication.links.seeding import KeyRange, SeedPlace, sort_part
from replicad.server.link_records import LinkRecord, link_write, options_in, place_in, with_place
from replicad.server.linked_data import LinkedData

KEYS_AT_ONCE = 1000
BYTES_AT_ONCE = MIB
"""Of what is here, within one turn of the event loop."""


class LinkSeeds:
    """Satisfies `Seeding`."""

    def __init__(self, linked: LinkedData) -> None:
        self._linked = linked

    def place(self, link: str) -> SeedPlace | None:
        return place_in(self._linked.links().get(link, {}))

    async def merge(
        self, link: str, place: SeedPlace, family: str, keys: KeyRange, part: list[LinkOperation]
    ) -> int:
        linked = self._linked
        self._check(place, (each.stamp.time_us for each in part))
        if family in linked.linked_families:
            asked = options_in(self._known(link))
            chosen = LinkFilter(asked.families, asked.prefix_bytes)
            for held, of_part, found in self._pieces(family, keys, part):
                self._known(link)
                self._write(place, family, of_part, found, chosen)
                if held.upto != keys.upto:
                    await asyncio.sleep(0)
                    await linked.until_writable()
        # A part that is broken off before this comes again: to write it twice changes nothing.
        return linked.write([link_write(link, with_place(self._known(link), place))])

    def finish(self, link: str, place: SeedPlace) -> int:
        linked, known = self._linked, self._known(link)
        self._check(place, ())
        for provenance, write in seeded(linked.origins(), place.origins, own=linked.own, source=place.source):
            linked.write([write], [provenance.encode()])
        if not place.partial and place.forgotten.time_us > linked.horizon_us:
            # What the source has forgotten is not remembered here either.
            linked.move_horizon(place.forgotten.time_us, ())
        return linked.set_link(link, known | {"source_database": place.source.hex(), "seed": None})

    def _pieces(
        self, family: str, keys: KeyRange, part: list[LinkOperation]
    ) -> Iterator[tuple[KeyRange, list[LinkOperation], list[bytes]]]:
        """The part cut into ranges in which not too much is here: the range, what came, which keys are here.
        What is here is read when the range is asked for."""
        after = keys.after
        while True:
            found, upto = self._next_here(family, KeyRange(after, keys.upto))
            held = KeyRange(after, upto)
            yield held, [each for each in part if held.holds(each.key)], found
            if upto == keys.upto:
                return
            after = upto

    def _next_here(self, family: str, keys: KeyRange) -> tuple[list[bytes], bytes | None]:
        """The next keys here, and through where that is all."""
        start = None if keys.after is None else keys.after + b"\0"
        end = None if keys.upto is None else keys.upto + b"\0"
        found: list[bytes] = []
        size_bytes = 0
        for key, value in self._linked.scan(family, start, end):
            found.append(key)
            size_bytes += len(key) + len(value)
            if len(found) == KEYS_AT_ONCE or size_bytes >= BYTES_AT_ONCE:
                return found, key
        return found, keys.upto

    def _write(
        self,
        place: SeedPlace,
        family: str,
        part: list[LinkOperation],
        found: list[bytes],
        chosen: LinkFilter,
    ) -> None:
        linked = self._linked
        theirs = {each.key for each in part}
        is_member = linked.is_member
        sorted_part = sort_part(
            family,
            part,
            [
                (key, linked.present(family, key))
                for key in found
                # What a newcomer holds gets stamps, also where the link does not carry it.
                if key not in theirs and (not is_member or chosen.carries(family, key))
            ],
            place=place,
            present=linked.present,
            known=linked.origins(),
            horizon_us=linked.horizon_us if is_member else None,
        )
        linked.see(each.stamp.time_us for each in sorted_part.won)
        if not is_member:
            # Its first writes are newer than all that its source has heard of.
            linked.see([place.clock_us])
        for each in sorted_part.new:
            if len(each.key) > LINKED_KEY_BYTES_MAX:
                raise LinkBroken(
                    f"family {family} has a key of {len(each.key)} bytes here, too long for a link"
                )
        if sorted_part.won:
            linked.write(merged(sorted_part.won, linked.family_id))
        linked.write_new(sorted_part.new)

    def _known(self, link: str) -> LinkRecord:
        record = self._linked.links().get(link)
        if record is None:
            raise LinkBroken(f"the link {link} was removed")
        return record

    def _check(self, place: SeedPlace, times_us: Iterable[int]) -> None:
        frontiers = (record.frontier_us for record in place.origins.values())
        times = (*times_us, *frontiers, place.horizon_us)
        check_times(place.source.hex(), times, self._linked.clock.now_us())
