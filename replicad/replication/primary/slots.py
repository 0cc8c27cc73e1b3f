"""The slots of a primary: the log that a replica or a change feed still needs stays, within limits
(`slot_states`).

A slot begins where a copy is cut or a stream begins, follows what the replica acknowledged as durable, and
survives a restart in the node's state. Being behind there is safe: it keeps more, never less.

When a slot must let go while a session still reads its log, the log stays until that session has ended:

    begin_reading ──> (over its limits) ──> `to_end` says why ──> end_reading ──> the log may go

A feed reads by requests, each of which finds its log or says that it is gone. So its log goes at once.

Any thread: the sessions on the event loop, the store at each rotation.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from replicad.replication.policy.slot_states import LogFacts, SlotLimits, over_cap, over_limits
from replicad.state.records import Slot
from replicad.store.holds.log_holds import HeldSegment


class Slots:
    """Satisfies the store's `LogHolds`."""

    def __init__(self, stored: Iterable[Slot], limits: SlotLimits) -> None:
        self._lock = threading.Lock()
        self._slots = {slot.node_id: slot for slot in stored}
        self._limits = limits
        self._reading: set[bytes] = set()
        self._ending: set[bytes] = set()
        self._unsaved: set[bytes] = set()
        self._unreported: list[Slot] = []
        self._oldest: int | None = None
        self._count()

    @property
    def limits(self) -> SlotLimits:
        return self._limits

    @limits.setter
    def limits(self, limits: SlotLimits) -> None:
        """Counts from the next look at the slots on, which comes within a second or so."""
        with self._lock:
            self._limits = limits

    def oldest_needed(self) -> int | None:
        """The first sequence number whose log must stay, or None when nobody needs any."""
        return self._oldest

    def get(self, node_id: bytes) -> Slot | None:
        return self._slots.get(node_id)

    def all(self) -> tuple[Slot, ...]:
        with self._lock:
            return tuple(self._slots.values())

    def hold(
        self,
        node_id: bytes,
        sequence: int,
        now_us: int,
        *,
        name: str = "",
        owner: str = "",
        position: str = "",
        log: LogFacts | None = None,
    ) -> Slot:
        """Keeps the log after `sequence` for a replica, whatever its slot said before. The first `owner` of a
        slot stays until the slot is dropped. With `position` the slot is that of a feed.

        With `log`, a slot that would be over its cap at once holds nothing: it is unreserved.
        """
        with self._lock:
            reason = None if log is None else over_cap(sequence, self._limits, log)
            before = self._slots.get(node_id)
            return self._set(
                Slot(
                    node_id=node_id,
                    sequence=sequence,
                    seen_us=now_us,
                    invalid=reason,
                    name=name,
                    acknowledged=0 if before is None else before.acknowledged,
                    owner=owner if before is None else before.owner or owner,
                    position=position,
                )
            )

    def advance(self, node_id: bytes, sequence: int, now_us: int, *, position: str = "") -> None:
        """The replica has everything up to `sequence`, durably. A slot never goes back by this. `position` is
        the whole position, of a feed."""
        with self._lock:
            slot = self._slots.get(node_id)
            if slot is not None and sequence >= slot.sequence:
                moved = replace(slot, sequence=sequence, seen_us=now_us, idle_seconds=0, acknowledged=1)
                self._set(replace(moved, position=position or slot.position))

    def clamp(self, newest: int) -> None:
        """The log ends at `newest`: a replica that had acknowledged more needs what comes in its place. A
        feed's position stays: its reader has to hear that it has what is not in the history."""
        with self._lock:
            for slot in list(self._slots.values()):
                if slot.sequence > newest:
                    self._set(replace(slot, sequence=newest))

    def drop(self, node_id: bytes) -> bool:
        """Whether there was one. A session that reads for it must be ended by the caller."""
        with self._lock:
            if self._slots.pop(node_id, None) is None:
                return False
            self._unsaved.add(node_id)
            self._count()
            return True

    def invalidate(self, node_id: bytes, reason: str) -> None:
        """Lets go of the log for another reason than the limits."""
        with self._lock:
            slot = self._slots.get(node_id)
            if slot is not None and slot.invalid is None:
                self._let_go(slot, reason)

    # Limits.

    def enforce(self, files: Sequence[HeldSegment], newest: int, flushed: int, short_bytes: int) -> None:
        """Slots over their limits let go: at each rotation, before the store decides which log goes."""
        facts = LogFacts(files=files, newest=newest, flushed=flushed, short_bytes=short_bytes)
        with self._lock:
            for slot, reason in over_limits(list(self._slots.values()), self._limits, facts):
                self._let_go(slot, reason)

    def readmit(self, log: LogFacts) -> None:
        """A replica that caught up gets its slot back while its log is still there."""
        with self._lock:
            for slot in list(self._slots.values()):
                reads = slot.node_id in self._reading and slot.node_id not in self._ending
                there = slot.sequence + 1 >= log.oldest
                within = over_cap(slot.sequence, self._limits, log) is None
                if slot.invalid is not None and reads and there and within:
                    self._set(replace(slot, invalid=None))

    def pass_time(self, seconds: int) -> None:
        """Slots whose replicas are away get older. Counted while the node runs, so no clock can jump."""
        with self._lock:
            for slot in list(self._slots.values()):
                if slot.node_id not in self._reading:
                    self._set(replace(slot, idle_seconds=slot.idle_seconds + seconds))

    # Sessions that read the log of a slot.

    def begin_reading(self, node_id: bytes) -> None:
        self._reading.add(node_id)

    def end_reading(self, node_id: bytes) -> None:
        """The log of a slot that let go may go from now on."""
        with self._lock:
            self._reading.discard(node_id)
            self._ending.discard(node_id)
            self._count()

    def to_end(self) -> list[tuple[bytes, str]]:
        """Whose sessions must end, and why."""
        with self._lock:
            return [(id, slot.invalid or "") for id in self._ending if (slot := self._slots.get(id))]

    # What the node's state holds of them.

    def unreported(self) -> list[Slot]:
        """Those that let go since the last call."""
        with self._lock:
            slots, self._unreported = self._unreported, []
            return slots

    def unsaved(self) -> list[tuple[bytes, Slot | None]]:
        """What changed and was not saved yet: node ids, with None for a dropped slot."""
        with self._lock:
            return [(node_id, self._slots.get(node_id)) for node_id in self._unsaved]

    def saved(self, node_id: bytes, slot: Slot | None) -> None:
        """What `unsaved` told is durable; it may have changed again since."""
        with self._lock:
            if self._slots.get(node_id) == slot:
                self._unsaved.discard(node_id)

    def _let_go(self, slot: Slot, reason: str) -> None:
        invalid = replace(slot, invalid=reason)
        if slot.node_id in self._reading and not slot.is_feed:
            self._ending.add(slot.node_id)
        self._unreported.append(invalid)
        self._set(invalid)

    def _set(self, slot: Slot) -> Slot:
        self._slots[slot.node_id] = slot
        self._unsaved.add(slot.node_id)
        self._count()
        return slot

    def _count(self) -> None:
        held = [
            slot.sequence + 1
            for slot in self._slots.values()
            if slot.invalid is None or slot.node_id in self._ending
        ]
        self._oldest = min(held, default=None)
