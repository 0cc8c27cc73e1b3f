"""Slots: the log that a replica still needs stays, up to a cap.

    hold ──> holding ──(more log than the cap)──> invalid
               ^                                    │
               └────────(hold: the log is there)────┘

A slot begins where a copy was cut or a stream begins, follows what the replica acknowledged as durable, and
survives a restart in the node's state. Being behind there is safe: it keeps more, never less. Changed on the
event loop; `oldest_needed` is read by the store from any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from replicad.replication.ports import LogFile
from replicad.state.records import Slot


class Slots:
    """The slots of a primary. Satisfies the store's `LogHolds`."""

    def __init__(self, stored: Iterable[Slot], log_bytes_max: int) -> None:
        self._slots = {slot.node_id: slot for slot in stored}
        self._log_bytes_max = log_bytes_max
        self._unsaved: set[bytes] = set()
        self._oldest: int | None = None
        self._count()

    def oldest_needed(self) -> int | None:
        """The first sequence number whose log must stay, or None when nobody needs any."""
        return self._oldest

    def get(self, node_id: bytes) -> Slot | None:
        return self._slots.get(node_id)

    def all(self) -> tuple[Slot, ...]:
        return tuple(self._slots.values())

    def hold(self, node_id: bytes, sequence: int, now_us: int) -> Slot:
        """Keeps the log after `sequence` for a replica, whatever its slot said before."""
        return self._set(Slot(node_id=node_id, sequence=sequence, seen_us=now_us))

    def advance(self, node_id: bytes, sequence: int, now_us: int) -> None:
        """The replica has everything up to `sequence`, durably. A slot never goes back by this."""
        slot = self._slots.get(node_id)
        if slot is not None and slot.invalid is None and sequence >= slot.sequence:
            self._set(replace(slot, sequence=sequence, seen_us=now_us))

    def drop(self, node_id: bytes) -> None:
        if self._slots.pop(node_id, None) is not None:
            self._unsaved.add(node_id)
            self._count()

    def enforce(self, files: Sequence[LogFile], newest: int) -> list[Slot]:
        """Invalidates the slots that hold more log than the cap; returns them."""
        over = []
        for slot in self._slots.values():
            if slot.invalid is None:
                held = log_bytes_after(files, slot.sequence, newest)
                if held > self._log_bytes_max:
                    reason = f"it held {held} bytes of log, the cap is {self._log_bytes_max}"
                    over.append(replace(slot, invalid=reason))
        for slot in over:
            self._set(slot)
        return over

    def unsaved(self) -> list[tuple[bytes, Slot | None]]:
        """What changed and was not saved yet: node ids, with None for a dropped slot."""
        return [(node_id, self._slots.get(node_id)) for node_id in self._unsaved]

    def saved(self, node_id: bytes, slot: Slot | None) -> None:
        """What `unsaved` told is durable; it may have changed again since."""
        if self._slots.get(node_id) == slot:
            self._unsaved.discard(node_id)

    def _set(self, slot: Slot) -> Slot:
        self._slots[slot.node_id] = slot
        self._unsaved.add(slot.node_id)
        self._count()
        return slot

    def _count(self) -> None:
        held = [slot.sequence + 1 for slot in self._slots.values() if slot.invalid is None]
        self._oldest = min(held, default=None)


def log_bytes_after(files: Sequence[LogFile], sequence: int, newest: int) -> int:
    """About how many bytes of log follow `sequence`; the segment that holds it counts in proportion."""
    total = 0
    for file in files:
        last = max(min(file.last_sequence, newest), file.first_sequence)
        if sequence < file.first_sequence:
            total += file.size_bytes
        elif sequence < last:
            total += file.size_bytes * (last - sequence) // (last - file.first_sequence + 1)
    return total
