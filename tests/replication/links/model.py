"""Linked primaries without disks and sockets: logs are lists, links are queues, and everything else is the
program's own code (`replicad/replication/links`).

A run is a seed: clients write and delete the same keys at every site, links break, sites crash and forget
what was not durable, clocks are off, members leave. When all is quiet, every site must have the same data,
each key the write with the largest stamp, and no batch may stand twice in a log or come home.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from replicad.replication.links.annotation import MAGIC, decode_provenance
from replicad.replication.links.batches import (
    LinkReader,
    Logged,
    Write,
    clock_write,
    introduced,
    log_data_of,
    merged,
    seeded,
    stamped,
    written,
)
from replicad.replication.links.merge import (
    UNSTAMPED,
    KeyHere,
    LinkBatch,
    LinkBroken,
    LinkOperation,
    judge,
)
from replicad.replication.links.records import (
    HORIZON_KEY,
    ORIGINS,
    STAMPS,
    KeyStamp,
    OriginRecord,
    decode_horizon,
    decode_key_stamp,
    decode_origin,
    encode_horizon,
    split_stamp_key,
    stamp_key,
)
from replicad.replication.links.seeding import KeyRange, SeedPlace, sort_part
from replicad.replication.links.stability import is_forgotten, seen_through_us, stable_through_us
from replicad.replication.links.stamps import HybridClock, Stamp

LINKED, OTHER = "default", "other"
WRITES_AT_ONCE = 3


class Site:
    """One primary. Its state is what its log makes; a crash forgets the log that is not durable."""

    def __init__(self, number: int, draw: random.Random) -> None:
        self.id = bytes([number + 1]) * 16
        self.number = number
        self.skew_us = draw.randrange(-2_000_000, 2_000_000)
        self.family_ids = dict(zip((LINKED, OTHER), draw.sample(range(100), 2), strict=True))
        self.log: list[Logged] = []
        self.durable = 0
        """Batches of the log that a crash leaves."""
        self.restarts = 0
        self.epoch, self.fork = 1, 0
        self._start()

    def _start(self) -> None:
        self.data: dict[tuple[str, bytes], bytes] = {}
        for batch in self.log:
            self._apply(batch)
        self.clock = HybridClock(self.origin(self.id).frontier_us)

    def crash(self) -> None:
        del self.log[self.durable :]
        self.restarts += 1
        self._start()

    def fail_over(self, now_us: int, *, lost: int = 0) -> None:
        """Another node of the site goes on, with all that was durable but so many batches."""
        self.durable = max(0, self.durable - lost)
        self.crash()
        self.epoch, self.fork = self.epoch + 1, self.last
        self.tick(now_us)

    def sync(self) -> None:
        self.durable = len(self.log)

    # Reading.

    def origin(self, id: bytes) -> OriginRecord:
        data = self.data.get((ORIGINS, id))
        return OriginRecord() if data is None else decode_origin(data)

    def origins(self) -> dict[bytes, OriginRecord]:
        return {key: decode_origin(value) for (family, key), value in self.data.items() if family == ORIGINS}

    def stamp(self, family: str, key: bytes) -> KeyStamp | None:
        data = self.data.get((STAMPS, stamp_key(self.family_ids[family], key)))
        return None if data is None else decode_key_stamp(data)

    def present(self, family: str, key: bytes) -> KeyHere:
        return KeyHere(self.data.get((family, key)), self.stamp(family, key))

    def linked_data(self) -> dict[bytes, bytes]:
        return {key: value for (family, key), value in self.data.items() if family == LINKED}

    @property
    def horizon_us(self) -> int:
        return decode_horizon(self.data.get((STAMPS, HORIZON_KEY)))

    @property
    def last(self) -> int:
        return self.log[-1].last if self.log else 0

    def family_name(self, id: int) -> str | None:
        return next((name for name, number in self.family_ids.items() if number == id), None)

    # Writing.

    def _append(self, writes: list[Write], annotations: tuple[bytes, ...] = ()) -> None:
        last = self.last + len(writes)
        place = {"epoch": self.epoch, "fork": self.fork, "last": last}
        batch = Logged(**place, writes=tuple(writes), annotations=annotations)
        self.log.append(batch)
        self._apply(batch)

    def _apply(self, batch: Logged) -> None:
        for family, key, value in batch.writes:
            if value is None:
                self.data.pop((family, key), None)
            else:
                self.data[family, key] = value

    def client_writes(self, now_us: int, writes: list[Write], annotations: tuple[bytes, ...] = ()) -> None:
        stamp = Stamp(self.clock.next(now_us + self.skew_us), self.id)
        seen_us = seen_through_us(self.origins(), self.id)
        more = stamped(writes, {LINKED}, stamp, seen_us, self.family_ids.__getitem__)
        self._append([*writes, *more], annotations)

    def tick(self, now_us: int) -> None:
        self.clock.next(now_us + self.skew_us)
        self._append([self._clock_write()])

    def _clock_write(self) -> Write:
        return clock_write(self.id, self.clock.last_us, seen_through_us(self.origins(), self.id))

    def receive(self, batch: LinkBatch, now_us: int, silence_us: int) -> None:
        came = batch.provenance
        applied = judge(
            batch,
            own=self.id,
            known=self.origin(came.origin),
            now_us=now_us + self.skew_us,
            horizon_us=self.horizon_us,
            silence_us=silence_us,
            present=self.present,
        )
        if applied is None:
            return
        self.clock.see(batch.newest_us)
        known = self.origins()
        new_members = [each for each in batch.members if each not in known and each != self.id]
        writes = written(applied, came.origin, new_members, self.family_ids.__getitem__)
        writes.append(self._clock_write())
        self._append(writes, log_data_of(applied, batch))

    def receive_seed(self, place: SeedPlace, keys: KeyRange, part: list[LinkOperation], now_us: int) -> None:
        """All that the source holds of these keys."""
        theirs = {each.key for each in part}
        alone = [
            (key, self.present(LINKED, key))
            for key in self.linked_data()
            if keys.holds(key) and key not in theirs
        ]
        found = sort_part(
            LINKED,
            part,
            alone,
            place=place,
            present=self.present,
            known=self.origins(),
            horizon_us=None if self.is_newcomer else self.horizon_us,
        )
        for each in found.won:
            self.clock.see(each.stamp.time_us)
        if self.is_newcomer:
            self.clock.see(place.origins[place.source].frontier_us)
        if found.won:
            # They are in this primary's log as its own: who reads it gets them once, and they never circle.
            writes = merged(found.won, self.family_ids.__getitem__)
            self._append([*writes, self._clock_write()])
        if found.new:
            self.client_writes(now_us, list(found.new))

    @property
    def is_newcomer(self) -> bool:
        return not self.origins().keys() - {self.id}

    def finish_seed(self, place: SeedPlace) -> None:
        """From here on the source's log goes on after the cut."""
        self.clock.see(place.origins[place.source].frontier_us)
        self._append([self._clock_write()])
        for provenance, write in seeded(self.origins(), place.origins, own=self.id, source=place.source):
            self._append([write], (provenance.encode(),))
        if place.forgotten.time_us > self.horizon_us:
            self._append([Write(STAMPS, HORIZON_KEY, encode_horizon(place.forgotten.time_us))])

    def held(self) -> list[LinkOperation]:
        """Everything of the linked family: values with and without stamps, and tombstones."""
        found = {
            key: LinkOperation(LINKED, key, value, UNSTAMPED) for key, value in self.linked_data().items()
        }
        for (family, key), value in self.data.items():
            if family == STAMPS and key != HORIZON_KEY:
                id, name = split_stamp_key(key)
                if id == self.family_ids[LINKED]:
                    record = decode_key_stamp(value)
                    found[name] = LinkOperation(LINKED, name, self.data.get((LINKED, name)), record.stamp)
        return list(found.values())

    def purge(self, silent_us: int = 0) -> None:
        """Removes stamps that nothing which can still arrive is older than."""
        through_us = stable_through_us(self.origins(), self.id, silent_us)
        gone = [
            Write(STAMPS, key, None)
            for (family, key), value in self.data.items()
            if family == STAMPS and key != HORIZON_KEY and is_forgotten(decode_key_stamp(value), through_us)
        ]
        if gone:
            horizon_us = max(through_us, self.horizon_us)
            self._append([*gone, Write(STAMPS, HORIZON_KEY, encode_horizon(horizon_us))])


@dataclass
class Link:
    source: Site
    target: Site
    sent: deque[LinkBatch] = field(default_factory=deque)
    shipped: int = 0
    _reader: LinkReader | None = None
    _next: int = 0
    _run: tuple[int, int] = (-1, -1)

    def cut(self) -> None:
        self._reader = None
        self.sent.clear()

    def introduce(self) -> None:
        """The source and all who read its log know of the target."""
        if self.target.id not in self.source.origins():
            self.source._append([introduced(self.target.id), self.source._clock_write()])

    def seed(self, now_us: int, draw: random.Random) -> None:
        """All at once, in parts of any size."""
        self.cut()
        self.introduce()
        self.source.tick(now_us)
        self.source.sync()
        source = self.source
        operations = sorted(source.held(), key=lambda each: each.key)
        cut = OriginRecord(source.epoch, source.last, *source.origin(source.id)[2:])
        place = SeedPlace(
            source.id, *cut[:2], source.origins() | {source.id: cut}, horizon_us=source.horizon_us
        )
        after = None
        while True:
            size = draw.randint(1, 10)
            part, operations = operations[:size], operations[size:]
            upto = part[-1].key if operations else None
            self.target.receive_seed(place, KeyRange(after, upto), part, now_us)
            if upto is None:
                break
            after = upto
        self.target.finish_seed(place)
        # A link is seeded once that is durable; until then it begins again.
        self.target.sync()

    def send(self) -> bool:
        """The next durable batch of the source's log that is not the target's own."""
        source, target = self.source, self.target
        self._cut_after_crash()
        if self._reader is None:
            through = target.origin(source.id).sequence
            self._reader = LinkReader(
                source.id, through, lambda family, _: family == LINKED, source.family_name
            )
            self._next = next(
                (i for i, each in enumerate(source.log) if each.last > through), len(source.log)
            )
        while self._next < source.durable:
            batch = self._reader.read(source.log[self._next])
            self._next += 1
            if batch is not None and not self._came_from(batch, target.id):
                self.shipped += 1
                self.sent.append(batch)
                return True
        return False

    def _came_from(self, batch: LinkBatch, target: bytes) -> bool:
        return batch.provenance.origin == target

    def _cut_after_crash(self) -> None:
        run = self.source.restarts, self.target.restarts
        if self._run != run:
            self.cut()
            self._run = run

    def deliver(self, now_us: int, silence_us: int = 0) -> bool:
        self._cut_after_crash()
        if not self.sent:
            return False
        self.target.receive(self.sent.popleft(), now_us, silence_us)
        return True

    @property
    def is_quiet(self) -> bool:
        return not self.sent and self._reader is not None and self._next >= self.source.durable


TOPOLOGIES: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "pair": (2, [(0, 1), (1, 0)]),
    "ring": (3, [(0, 1), (1, 2), (2, 0)]),
    "both ways": (3, [(0, 1), (1, 0), (1, 2), (2, 1)]),
    "mesh": (3, [(a, b) for a in range(3) for b in range(3) if a != b]),
    "ring of five with a chord": (5, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2)]),
}


class World:
    def __init__(self, seed: int, topology: str | None = None, *, at_once: bool = False) -> None:
        """`at_once`: the sites have data of their own, and all links are added at the same time."""
        self.draw = random.Random(seed)
        self.topology = topology or self.draw.choice(list(TOPOLOGIES))
        count, links = TOPOLOGIES[self.topology]
        self.sites = [Site(number, self.draw) for number in range(count)]
        if not at_once:
            for site in self.sites:
                site._append([introduced(other.id) for other in self.sites if other is not site])
                site.sync()
        self.links = [Link(self.sites[a], self.sites[b]) for a, b in links]
        self.now_us = 1_700_000_000_000_000
        self.keys = [b"key%d" % number for number in range(self.draw.choice((1, 5, 50)))]
        self.written = 0
        self.silence_us = 0
        """After which a site is not waited for."""
        self.alone: Site | None = None
        """A site that nobody can reach."""
        self.stalled: Link | None = None
        """A link that delivers nothing."""
        if at_once:
            self._add_all_links()

    def _add_all_links(self) -> None:
        for site in self.sites:
            for number in range(10):
                key = self.draw.choice([*self.keys, b"own%d of %d" % (number, site.number)])
                site._append([Write(LINKED, key, b"unlinked %d of %d" % (number, site.number))])
        # Sources learn of their targets before anybody has anything, or one link after the other.
        links = self.draw.sample(self.links, len(self.links))
        if self.draw.random() < 0.5:
            for link in links:
                link.introduce()
        for link in links:
            link.seed(self.now_us, self.draw)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
        self.settle()

    def step(self) -> None:
        draw = self.draw
        self.now_us += draw.randrange(0, 50_000)
        site, link = draw.choice(self.sites), draw.choice(self.links)
        match draw.choices(
            ("write", "send", "deliver", "sync", "crash", "fail over", "cut", "seed", "tick", "purge"),
            (30, 40, 40, 20, 1, 1, 1, 0.3, 5, 4),
        )[0]:
            case "write":
                self._write(site)
            case "send":
                if self.alone not in (link.source, link.target):
                    link.send()
            case "deliver":
                self._deliver(link)
            case "sync":
                site.sync()
            case "crash":
                site.crash()
            case "fail over":
                site.fail_over(self.now_us)
            case "cut":
                link.cut()
            case "seed":
                if self.alone not in (link.source, link.target):
                    link.seed(self.now_us, draw)
            case "tick":
                site.tick(self.now_us)
            case "purge":
                site.purge(self._silent_us(site))

    def _silent_us(self, site: Site) -> int:
        return self.now_us + site.skew_us - self.silence_us if self.silence_us else 0

    def _deliver(self, link: Link) -> bool:
        """A link that is broken is seeded by its operator."""
        if self.alone in (link.source, link.target) or link is self.stalled:
            return False
        try:
            return link.deliver(self.now_us, self.silence_us)
        except LinkBroken:
            link.seed(self.now_us, self.draw)
            return True

    def _write(self, site: Site) -> None:
        draw = self.draw
        writes = []
        for _ in range(draw.randint(1, WRITES_AT_ONCE)):
            self.written += 1
            value = None if draw.random() < 0.3 else b"%d" % self.written
            family = OTHER if draw.random() < 0.2 else LINKED
            writes.append(Write(family, draw.choice(self.keys), value))
        site.client_writes(self.now_us, writes, (b"app %d" % self.written,) if draw.random() < 0.1 else ())

    def settle(self) -> None:
        """Everything that is durable arrives everywhere."""
        for site in self.sites:
            site.sync()
        while True:
            for link in self.links:
                link.send()
                while self._deliver(link):
                    link.target.sync()
                    link.send()
                link.target.sync()
            if all(link.is_quiet for link in self.links):
                return

    def leave(self) -> Site:
        """A member goes while its batches are under way: its follower is linked to its source first."""
        gone = self.draw.choice(self.sites)
        sources = [link.source for link in self.links if link.target is gone]
        followers = [link.target for link in self.links if link.source is gone]
        known = {(link.source.number, link.target.number) for link in self.links}
        for source in sources:
            for follower in followers:
                if source is not follower and (source.number, follower.number) not in known:
                    link = Link(source, follower)
                    link.seed(self.now_us, self.draw)
                    self.links.append(link)
        self.links = [link for link in self.links if gone not in (link.source, link.target)]
        self.sites.remove(gone)
        return gone

    # Disasters, after which an operator seeds links.

    def isolate(self, steps: int) -> dict[bytes, bytes]:
        """Nobody reaches one site, for longer than it is waited for; what only it writes meanwhile."""
        self.silence_us = 5_000_000
        self.alone = self.draw.choice(self.sites)
        for link in self.links:
            if self.alone in (link.source, link.target):
                link.cut()
        late = {}
        for number in range(steps):
            self.step()
            if number % (steps // 5) == 0:
                key, value = b"late%d" % number, b"late"
                self.alone.client_writes(self.now_us, [Write(LINKED, key, value)])
                self.alone.sync()
                late[key] = value
            self.now_us += 4 * self.silence_us // steps
        site, self.alone = self.alone, None
        self.seed_links_of(site)
        return late

    def stall(self, steps: int) -> None:
        """A link stands still until it is seeded again, with nobody else behind it but who waits for it."""
        self.stalled = self.draw.choice(self.links)
        for _ in range(steps):
            self.step()
        link, self.stalled = self.stalled, None
        link.seed(self.now_us, self.draw)

    def lose(self) -> None:
        """A forced promotion of a replica that had not all; its site's links stop."""
        site = self.draw.choice(self.sites)
        site.fail_over(self.now_us, lost=self.draw.randint(1, 30))
        for link in self.links:
            if site in (link.source, link.target):
                link.cut()
        self.seed_links_of(site)

    def seed_links_of(self, site: Site) -> None:
        """Both directions, in any order, while work goes on."""
        links = [link for link in self.links if site in (link.source, link.target)]
        for link in self.draw.sample(links, len(links)):
            link.seed(self.now_us, self.draw)
            for _ in range(self.draw.randint(0, 30)):
                self.step()

    # What must be so.

    def join(self, at: Link, *, replaces: bool) -> Site:
        """A new member between two others, with data of its own from before it was linked. `replaces`: in the
        place of their link."""
        newcomer = Site(len(self.sites), self.draw)
        for number in range(20):
            key = self.draw.choice([*self.keys, b"own%d" % number])
            newcomer._append([Write(LINKED, key, b"unlinked %d" % number)])
        self.sites.append(newcomer)
        if replaces:
            self.links.remove(at)
        for link in (Link(at.source, newcomer), Link(newcomer, at.target)):
            link.seed(self.now_us, self.draw)
            self.links.append(link)
        return newcomer

    def check_equal(self) -> dict[bytes, bytes]:
        first, *others = [site.linked_data() for site in self.sites]
        for number, data in enumerate(others, 1):
            assert data == first, f"site {number}"
        return first

    def check(self) -> None:
        expected = self.expected()
        for site in self.sites:
            assert site.linked_data() == expected, f"site {site.number}"
            for batch in site.log:
                assert not (batch.annotations and self._is_home(site, batch))
            counted = Counter(self.arrivals(site))
            assert not [each for each, times in counted.items() if times > 1], f"twice at site {site.number}"

    def expected(self) -> dict[bytes, bytes]:
        """Of each key the write with the largest stamp, over all logs."""
        best: dict[bytes, tuple[Stamp, bytes | None]] = {}
        for site in self.sites:
            reader = LinkReader(site.id, 0, lambda family, _: family == LINKED, site.family_name)
            for batch in site.log:
                read = reader.read(batch)
                if read is None or read.provenance.origin != site.id:
                    continue
                for each in read.operations:
                    if each.stamp == UNSTAMPED:
                        continue
                    if each.key not in best or each.stamp >= best[each.key][0]:
                        best[each.key] = each.stamp, each.value
        return {key: value for key, (_, value) in best.items() if value is not None}

    def _is_home(self, site: Site, batch: Logged) -> bool:
        return any(origin == site.id for origin, _, _ in self._came(batch))

    def arrivals(self, site: Site) -> Iterator[tuple[bytes, int, int]]:
        for batch in site.log:
            yield from self._came(batch)

    def _came(self, batch: Logged) -> Iterator[tuple[bytes, int, int]]:
        for data in batch.annotations:
            if data.startswith(MAGIC):
                came = decode_provenance(data)
                yield came.origin, came.epoch, came.last
