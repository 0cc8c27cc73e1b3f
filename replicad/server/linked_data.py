"""What links make of this primary's data: stamps on clients' writes, and batches of others merged in.

    clients' batches ──stamp──> WriteGroup ─┐      the kernel stamps simple writes itself (`LinkClock`)
                                            ├──> the store, in the order of their stamps
    batches of a link ──judge, write────────┘

A batch of a link is merged within one turn of the event loop: what it was compared with is what it replaces.
It goes to the store after the writes of clients that are in the open group, whose stamps may be older. How
far all is stands in system families, in the same batches (`replication/links/records.py`). The loop's thread
owns this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.errors import InvalidArgument, NotFoundError
from replicad.options import BATCH_BYTES_MAX, KIB
from replicad.replication.links.batches import Write, clock_write, introduced, log_data_of, stamped, written
from replicad.replication.links.losers import Keep, kept
from replicad.replication.links.merge import KeyHere, LinkBatch, judge
from replicad.replication.links.records import (
    HORIZON_KEY,
    LINKED_KEY_BYTES_MAX,
    LINKS,
    LOSERS,
    ORIGINS,
    STAMPS,
    SYSTEM_FAMILIES,
    SYSTEM_PREFIX,
    OriginRecord,
    decode_horizon,
    decode_key_stamp,
    decode_origin,
    encode_horizon,
    stamp_key,
)
from replicad.replication.links.stability import seen_through_us
from replicad.replication.links.stamps import Stamp
from replicad.replication.wire.messages import Refuse
from replicad.server import replies
from replicad.server.committer import Committer
from replicad.server.interfaces import Node
from replicad.server.link_clock import LinkClock
from replicad.server.link_records import (
    PARTIAL,
    LinkRecord,
    family_write,
    link_records,
    link_write,
    linked_names,
    source_in,
)
from replicad.server.refusals import Refused
from replicad.server.watches import Watches
from replicad.store.batch import WriteBatch, operations_of
from replicad.store.database import Database
from replicad.types import OperationKind, Position

log = get_logger()

ROOM_BYTES = 4 * KIB
"""Of a batch in a linked family: what a target adds to it must have room, however often it is shipped on."""
JOINING = "joining-"
"""Codes of refusals begin so; the database id follows."""
WRITE_BYTES = 32
"""At most what a write takes besides its key and value."""
WAIT_SECONDS = 0.02


class LinkedData:
    """Satisfies `Merging` and `LinkedPrimary`. Seeds and upkeep write through it."""

    def __init__(
        self,
        store: Database,
        node: Node,
        committer: Committer,
        watches: Watches,
        clock: Clock,
        stands_still: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stands_still` says whether nobody may write now: a command is under way whose reads must stay true
        until it writes, or writes are paused."""
        self.families: frozenset[int] = frozenset()
        """Ids of the families whose writes get stamps."""
        self.stands_still = stands_still
        self.refused: Callable[[], set[str]] = set
        """The codes with which the sources of this primary's links refused them last."""
        self._store = store
        self._node = node
        self._committer = committer
        self._watches = watches
        self._names: frozenset[str] = frozenset()
        self.clock = LinkClock(committer.group, clock, store.options.clock_jump_seconds_max)
        self._ids: dict[str, int] = {}
        """Of families by name, as they were when these were linked: a linked family is not dropped."""
        self._records: dict[bytes, OriginRecord] = {}
        """How far the origins are: what is in the store, once it was read."""
        self.horizon_us = 0
        """Stamps of deletions through here may be forgotten already."""
        self.is_partial = False
        """Something was left out of what came here over links."""
        self.silence_us = 0
        """For how long another primary may be silent; 0: for ever."""
        self.load()

    def load(self) -> None:
        """What the data says: when the store is opened, and when the node becomes primary."""
        self._ids = ids = self._store.families
        self._records, self.horizon_us, self.is_partial = {}, 0, False
        if not self.is_set_up:
            self._names, self.families = frozenset(), frozenset()
            self._committer.group.link([], 0, 0, self.own)
            return
        newest = self._store.newest
        found = newest.scan(family=ids[ORIGINS])
        self._records = {key: decode_origin(value) for key, value in found}
        self.horizon_us = decode_horizon(newest.get(HORIZON_KEY, family=ids[STAMPS]))
        self.is_partial = newest.get(PARTIAL, family=ids[LINKS]) is not None
        self._names = linked_names(self._store, ids[LINKS])
        self.families = frozenset(ids[name] for name in self._names if name in ids)
        self.clock.last_us = self._records.get(self.own, OriginRecord()).frontier_us
        self.clock.seen_us = seen_through_us(self._records, self.own)
        self._committer.group.link(sorted(self.families), ids[STAMPS], ids[ORIGINS], self.own)

    @property
    def is_set_up(self) -> bool:
        return self._ids.keys() >= set(SYSTEM_FAMILIES)

    # Clients' writes.

    def check_key(self, key: bytes) -> None:
        if len(key) > LINKED_KEY_BYTES_MAX:
            raise Refused(
                replies.error(f"ERR a key in a linked family has at most {LINKED_KEY_BYTES_MAX} bytes")
            )

    def kernel_may_stamp(self, key: bytes, value: bytes) -> bool:
        """Whether this write is small enough for that: of a larger one Python says what is wrong."""
        self.clock.look()
        return len(key) + len(value) <= LINKED_KEY_BYTES_MAX

    def stamp(self, batch: WriteBatch) -> None:
        """Adds what goes into the same batch as a client's writes. Raises Refused, and changes nothing."""
        names = {self._ids[name]: name for name in self._names}
        writes = []
        for operation in operations_of(batch.data):
            if (
                operation.kind in (OperationKind.PUT, OperationKind.DELETE)
                and operation.family in self.families
            ):
                self.check_key(operation.key)
                writes.append(Write(names[operation.family], operation.key, operation.value))
        if not writes:
            return
        stamp = Stamp(self.clock.tick(), self.own)
        self._add(batch, stamped(writes, self._names, stamp, self.clock.seen_us, self.family_id))
        if len(batch.data) > BATCH_BYTES_MAX - ROOM_BYTES:
            raise Refused(replies.error("ERR the batch is too large for a linked family"))

    def _add(self, batch: WriteBatch, writes: Sequence[Write]) -> None:
        for family, key, value in writes:
            if value is None:
                batch.delete(key, self.family_id(family))
            else:
                batch.put(key, value, self.family_id(family))

    def family_id(self, family: str) -> int:
        return self._ids[family]

    def has(self, family: str) -> bool:
        return family in self._ids

    def scan(
        self,
        family: str,
        start: bytes | None = None,
        end: bytes | None = None,
        limit: int | None = None,
        *,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """The newest state of a family, a system family too."""
        number = self.family_id(family)
        return self._store.newest.scan(start, end, limit=limit, reverse=reverse, family=number)

    # What a link asks.

    @property
    def own(self) -> bytes:
        return self._store.database_id

    @property
    def durable_position(self) -> Position:
        return self._store.durable_position

    @property
    def linked_families(self) -> frozenset[str]:
        return self._names

    def why_not(self, asker: bytes, *, is_member: bool) -> Refuse | None:
        if not self._node.is_writable:
            where = self._node.primary_address
            there = "" if where is None else f": {where[0]}:{where[1]} is"
            return Refuse("no-primary", f"this node is not the primary{there}", True)
        if self.is_member:
            return None
        pending = [name for name, record in self.links().items() if not record.get("source_database")]
        waits_for_each_other = f"{JOINING}{asker.hex()}" in self.refused() and self.own < asker
        if pending and not waits_for_each_other:
            # What it holds now is not what it will hold.
            reason = f"that primary waits for the data of its own link {pending[0]} first"
            return Refuse(f"{JOINING}{self.own.hex()}", reason, True)
        if is_member:
            reason = "that primary is not linked yet, and this one is: link it from here first"
            return Refuse("join-first", f"{reason} (replicad link add THERE NAME HERE)", False)
        return None

    @property
    def safe_through(self) -> int:
        return self._node.waits.released(self._store.durable_sequence)

    def is_safe(self, sequence: int) -> bool:
        return self.safe_through >= sequence

    def subscribe(self, moved: Callable[[], None]) -> Callable[[], None]:
        ends = [self._store.subscribe(moved), self._node.waits.subscribe(moved)]

        def end() -> None:
            for each in ends:
                each()

        return end

    async def until_writable(self) -> None:
        # It waits for roles, other clients' commands and the store: nothing reports all of these.
        while not self.is_ready():  # noqa: ASYNC110
            await asyncio.sleep(WAIT_SECONDS)

    def is_ready(self) -> bool:
        """The clients' writes that came before are in the store, and nothing that was read must stay true."""
        node, committer = self._node, self._committer
        if not node.is_writable or node.holds_writes() or self.stands_still() or self._store.stalled:
            return False
        committer.submit()
        return not committer.group.batches

    def origin(self, id: bytes) -> OriginRecord:
        return self.origins().get(id, OriginRecord())

    def origins(self) -> dict[bytes, OriginRecord]:
        if self.own in self._records:
            # The kernel moves the clock as well.
            clock = self.clock
            self._records[self.own] = OriginRecord(frontier_us=clock.last_us, seen_us=clock.seen_us)
        return self._records

    def present(self, family: str, key: bytes) -> KeyHere:
        newest, number = self._store.newest, self.family_id(family)
        stamp = newest.get(stamp_key(number, key), family=self.family_id(STAMPS))
        return KeyHere(newest.get(key, family=number), None if stamp is None else decode_key_stamp(stamp))

    @property
    def is_member(self) -> bool:
        return any(not record.is_gone for id, record in self.origins().items() if id != self.own)

    def merge(self, batch: LinkBatch, keep: Keep | None = None) -> tuple[int, int, int]:
        came = batch.provenance
        carried = tuple(each for each in batch.operations if each.family in self._names)
        applied = judge(
            replace(batch, operations=carried),
            own=self.own,
            known=self.origin(came.origin),
            now_us=self.clock.now_us(),
            horizon_us=self.horizon_us,
            silence_us=self.silence_us,
            present=self.present,
        )
        if applied is None:
            return 0, 0, 0
        self.clock.see(batch.newest_us)
        known = self.origins()
        new_members = [each for each in batch.members if each not in known and each != self.own]
        writes = written(applied, came.origin, new_members, self.family_id)
        if keep is not None and applied.lost:
            lost = [(each, self.present(each.family, each.key)) for each in applied.lost]
            size_bytes = sum(len(each.key) + len(each.value or b"") + WRITE_BYTES for each in writes)
            room_bytes = BATCH_BYTES_MAX - ROOM_BYTES - size_bytes
            writes += kept(keep, batch, lost, self.clock.now_us(), room_bytes)
        return self.write(writes, log_data_of(applied, batch)), len(applied.won), len(applied.lost)

    def write(self, writes: Sequence[Write], log_data: Sequence[bytes] = ()) -> int:
        """One batch, with the clock; its last sequence number."""
        batch = WriteBatch()
        for annotation in log_data:
            batch.put_log_data(annotation)
        self._add(batch, [*writes, clock_write(self.own, self.clock.last_us, self.clock.seen_us)])
        changed = {
            each.key if (number := self.family_id(each.family)) == 0 else (number, each.key)
            for each in writes
            if not each.family.startswith(SYSTEM_PREFIX)
        }
        if self._watches and changed:
            self._watches.wrote(changed)
        last = self._store.submit(batch).sequence
        self._committer.store_moved()

        # Only now: what is known here is never ahead of the store.
        self._records.setdefault(self.own, OriginRecord())
        moved = [each for each in writes if each.family == ORIGINS]
        for each in moved:
            if each.value is not None:
                self._records[each.key] = decode_origin(each.value)
        if moved:
            self.clock.seen_us = seen_through_us(self._records, self.own)
        return last

    def write_new(self, writes: Sequence[Write]) -> int:
        """As writes of a client, in linked families; their sequence number, or 0 where there are none."""
        if not writes:
            return 0
        stamp = Stamp(self.clock.tick(), self.own)
        return self.write([*writes, *stamped(writes, self._names, stamp, self.clock.seen_us, self.family_id)])

    def move_clock(self) -> int:
        """Says in the log up to which time no stamps come any more."""
        self.clock.tick()
        return self.write([])

    def see(self, times_us: Iterable[int]) -> None:
        """Stamps of other primaries arrived."""
        self.clock.see(max(times_us, default=0))

    def move_horizon(self, time_us: int, gone: Iterable[bytes]) -> None:
        """Forgets these stamps, none of which is after that time."""
        forgotten = [Write(STAMPS, key, None) for key in gone]
        self.write([*forgotten, Write(STAMPS, HORIZON_KEY, encode_horizon(time_us))])
        self.horizon_us = time_us

    async def note_partial(self) -> None:
        await self.until_writable()
        if not self.is_partial:
            self.write([Write(LINKS, PARTIAL, b"")])
            self.is_partial = True

    # Links, and who is linked.

    def links(self) -> dict[str, LinkRecord]:
        """What operators asked for, by name."""
        return link_records(self._store, self.family_id(LINKS)) if self.is_set_up else {}

    def source_of(self, link: str) -> bytes | None:
        return source_in(self.links().get(link, {}))

    def set_link(self, name: str, record: LinkRecord | None) -> int:
        """None removes it."""
        if record is not None and record.get("keep_losers_seconds") and LOSERS not in self._ids:
            self._store.submit_create_family(LOSERS)
            self._ids = self._store.families
        return self.write([link_write(name, record)])

    def link_families(self, names: Sequence[str]) -> None:
        """From now on writes to these families get stamps. Raises NotFoundError, and InvalidArgument once
        there are other members: what such a family holds has no stamps that theirs could be compared with.
        """
        families = self._store.families
        for name in names:
            if name not in families or name.startswith(SYSTEM_PREFIX):
                raise NotFoundError(f"there is no column family {name} to be linked")
        new = sorted(set(names) - self._names)
        if new and self.is_member:
            raise InvalidArgument(
                f"{', '.join(new)} cannot be linked any more: families are linked with the first link of a "
                "primary"
            )
        for name in SYSTEM_FAMILIES:
            if name not in families:
                self._store.submit_create_family(name)
        self._ids = self._store.families
        if new:
            self.write([family_write(name) for name in new])
            self.load()
            log.info("link.families", linked=sorted(self._names))

    async def introduce(self, member: bytes, families: Sequence[str]) -> None:
        await self.until_writable()
        self.link_families(families)
        # The clock goes on in any case: a seed says how far it is at the cut.
        self.clock.tick()
        known = self.origins().get(member)
        last = self.write([introduced(member)] if known is None or known.is_gone else [])
        while not self.is_safe(last):  # noqa: ASYNC110
            await asyncio.sleep(WAIT_SECONDS)


def refuse_system(name: str) -> None:
    """Families of this name are the node's own."""
    if name.startswith(SYSTEM_PREFIX):
        raise Refused(
            replies.error(f"ERR column families that begin with {SYSTEM_PREFIX} are the node's own")
        )
