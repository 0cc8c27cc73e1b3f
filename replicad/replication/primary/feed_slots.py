"""The slots of change feeds: who makes them, who reads, and what is acknowledged.

    create ──> (nobody reads) ──read──> (one reader) ──acknowledge──> the slot moves
                     ^                       │
                     └──(its connection ends, or it is silent)

A slot has one reader at a time. Another one is refused while the reader asks for log again and again. It
takes the slot of a reader that was silent for `SILENT_SECONDS_MAX`, whose machine may be dead. Belongs to the
event loop.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import (
    DivergedError,
    InvalidArgument,
    LogGoneError,
    NotFoundError,
    SlotInUseError,
    SlotLostError,
    TooManySessionsError,
)
from replicad.replication.policy.slot_states import FEEDS_MAX
from replicad.replication.ports import Records
from replicad.replication.primary.slots import Slots
from replicad.replication.tasks import in_thread
from replicad.replication.wire.identify import NAME
from replicad.state.node import NODE_ID_BYTES
from replicad.state.records import Slot
from replicad.store.database import Database
from replicad.types import Position

log = get_logger("replicad.replication")

SILENT_SECONDS_MAX = 60.0
"""A reader asks about once a second while it waits. One that does other work for longer may lose its slot."""


def feed_id(name: str) -> bytes:
    """The id of a feed's slot, in the place where a replica's slot has its node id."""
    return hashlib.sha256(b"replicad feed " + name.encode()).digest()[:NODE_ID_BYTES]


@dataclass(slots=True, eq=False)
class FeedReader:
    """A connection that reads for a slot. `id` is random for each reader, and stays when it connects again;
    `end` closes the connection."""

    name: str
    id: str
    peer: str
    end: Callable[[], None]
    asked_at: float = 0.0
    slots: FeedSlots | None = None
    """Where it reads. When the node's data is exchanged, others take their place."""


class FeedSlots:
    def __init__(self, env: Env, source: Database, slots: Slots, records: Records) -> None:
        self._env = env
        self._source = source
        self._slots = slots
        self._records = records
        self._readers: dict[bytes, FeedReader] = {}

    def reader_of(self, node_id: bytes) -> FeedReader | None:
        return self._readers.get(node_id)

    def get(self, name: str) -> Slot:
        """Raises NotFoundError."""
        slot = self._slots.get(feed_id(name))
        if slot is None or not slot.is_feed:
            raise NotFoundError(
                f"this node has no slot {name}: make one (replicad slot create), or give the position that "
                "was processed last, too"
            )
        return slot

    async def create(self, name: str, after: Position | int | None) -> Position:
        """A slot that holds the log after that position, by default after the newest durable one. A number is
        a sequence number, and the log is held from its batch on. The slot is durable when this returns its
        position.

        Raises InvalidArgument for a name that is taken or is not one, TooManySessionsError, LogGoneError, and
        DivergedError for a position that is not in this node's history.
        """
        if not name or re.fullmatch(NAME, name) is None:
            raise InvalidArgument(f"{name[:64]!r} is not the name of a slot: {NAME}")
        node_id = feed_id(name)
        if (there := self._slots.get(node_id)) is not None:
            raise InvalidArgument(f"there is a slot {name}, at {there.position}")
        if sum(slot.is_feed for slot in self._slots.all()) >= FEEDS_MAX:
            raise TooManySessionsError(f"this node has {FEEDS_MAX} slots of feeds, the most: drop one")

        if isinstance(after, int):
            after = await in_thread(self._position_before, after)
        position = self._source.durable_position if after is None else after

        # The log is held before it is looked at, so that none of it goes meanwhile.
        slot = self._slots.hold(
            node_id, position.sequence, self._env.clock.wall_us(), name=name, position=str(position)
        )
        try:
            await in_thread(self._check, position)
            await self._records.put_slot(slot)
        except BaseException:
            self._slots.drop(node_id)
            raise
        log.info("slot.created", node=node_id.hex(), name=name, position=str(position))
        return position

    async def read(self, reader: FeedReader) -> Position:
        """The position after which this reader goes on; it has the slot from now on.

        Raises NotFoundError, SlotInUseError, SlotLostError, and DivergedError when the position is not in
        this node's history.
        """
        slot = self.get(reader.name)
        self._check_free(slot, reader)

        position = Position.parse(slot.position)
        try:
            await in_thread(self._check, position)
        except LogGoneError as error:
            why = f" ({slot.invalid})" if slot.invalid else ""
            raise SlotLostError(
                f"slot {slot.name} at {position} is lost{why}: the log begins at {error.first_available}. "
                "Drop the slot, make a new one, and copy the data again"
            ) from None

        # Others may have come during the look at the log.
        slot = self.get(reader.name)
        older = self._check_free(slot, reader)
        self._readers[slot.node_id] = reader
        reader.slots = self
        self._slots.begin_reading(slot.node_id)
        reader.asked_at = self._env.clock.monotonic()
        if older is not None and older is not reader:
            older.end()
        return Position.parse(slot.position)

    async def acknowledge(self, name: str, position: Position, reader: FeedReader | None) -> None:
        """What the reader of the slot has processed; the slot never goes back. Raises what `read` does."""
        slot = self.get(name)
        other = self._readers.get(slot.node_id)
        if other is not None and other is not reader:
            raise _in_use(name, other)
        if position.sequence > slot.sequence:
            await in_thread(self._check_history, position)
            now_us = self._env.clock.wall_us()
            self._slots.advance(slot.node_id, position.sequence, now_us, position=str(position))

    def asked(self, reader: FeedReader) -> None:
        """The reader asks for log: it is there."""
        reader.asked_at = self._env.clock.monotonic()
        node_id = feed_id(reader.name)
        if self._readers.get(node_id) is reader:
            self._slots.begin_reading(node_id)

    def ended(self, reader: FeedReader) -> None:
        """Its connection is over."""
        node_id = feed_id(reader.name)
        if self._readers.get(node_id) is reader:
            del self._readers[node_id]
            self._slots.end_reading(node_id)

    def dropped(self, node_id: bytes) -> None:
        """The slot is gone. Its reader hears so when it acknowledges."""
        if self._readers.pop(node_id, None) is not None:
            self._slots.end_reading(node_id)

    def tick(self) -> None:
        """A reader that is silent counts as away."""
        for node_id, reader in self._readers.items():
            if self._is_silent(reader):
                self._slots.end_reading(node_id)

    def _check_free(self, slot: Slot, reader: FeedReader) -> FeedReader | None:
        """The older connection that gives way, if there is one; raises SlotInUseError when it does not."""
        older = self._readers.get(slot.node_id)
        if older is not None and older.id != reader.id and not self._is_silent(older):
            raise _in_use(slot.name, older)
        return older

    def _is_silent(self, reader: FeedReader) -> bool:
        return self._env.clock.monotonic() - reader.asked_at > SILENT_SECONDS_MAX

    def _position_before(self, sequence: int) -> Position:
        """The one before the batch that holds this sequence number, or will hold it. In a thread."""
        newest = self._source.durable_position
        if sequence > newest.sequence:
            return newest
        cursor = self._source.read_log(max(1, sequence))
        try:
            chunk = cursor.next(1)
        finally:
            cursor.close()
        first = newest.sequence + 1 if chunk is None else chunk.first_sequence
        before = self._source.position_at(first - 1)
        if before is None:
            raise LogGoneError(sequence, self._source.oldest_log_sequence)
        return before

    def _check(self, position: Position) -> None:
        """Raises unless the position is in this history, with the log after it. In a thread."""
        source = self._source
        oldest = source.oldest_log_sequence
        if position.sequence + 1 < oldest:
            raise LogGoneError(position.sequence + 1, oldest)
        self._check_history(position)

    def _check_history(self, position: Position) -> None:
        """Raises DivergedError unless a durable batch of this history ends there. In a thread."""
        newest = self._source.durable_position
        found = newest if newest.sequence == position.sequence else None
        if position.sequence < newest.sequence:
            found = self._source.position_at(position.sequence)
        if found != position:
            where = f"there it is {found}" if found is not None else f"its log ends at {newest}"
            raise DivergedError(f"position {position} is not in this node's history: {where}")


def _in_use(name: str, reader: FeedReader) -> SlotInUseError:
    return SlotInUseError(
        f"slot {name} is being read from {reader.peer}: end that reader (CLIENT KILL does), or use another "
        "slot"
    )
