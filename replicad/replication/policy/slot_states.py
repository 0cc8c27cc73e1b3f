"""What state a slot is in, and which slots must let go of their log: pure functions over plain values.

                 more than retention keeps        over its cap, idle too long,
                 for everybody                    or the disk is short
    reserved ─────────────────────────> extended ──────────────────────────────> unreserved ───> lost
        ^  ^ <──────(acknowledged)─────────┘  ^                                    │  the log went  │
        │  └───────────────────────────────────┴──(acknowledged, within its cap)────┘                │
        └──────────────────────────(a new copy, or a stream from later log)──────────────────────────┘

A reserved or extended slot holds log; an unreserved one no longer does, and its replica can still go on while
the files happen to be there; of a lost one they are gone.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import Enum

from replicad.state.records import Slot
from replicad.store.holds.log_holds import HeldSegment


class SlotState(Enum):
    RESERVED = "reserved"
    EXTENDED = "extended"
    UNRESERVED = "unreserved"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotLimits:
    """When a slot must let go: bytes of log that it holds, seconds that its replica is away (None: never)."""

    log_bytes_max: int
    idle_seconds_max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFacts:
    """The log at one moment. `files` oldest first; `newest` is the durable sequence number."""

    files: Sequence[HeldSegment]
    newest: int
    flushed: int
    """Segments that end at or before this one go as soon as nobody holds them."""
    short_bytes: int = 0
    """What is missing on the disk to the room that has to stay free."""

    @property
    def oldest(self) -> int:
        return self.files[0].first_sequence if self.files else self.newest + 1


SLOTS_MAX = 256
"""As many as sessions. One more takes the place of the slot that is worth least."""
FEEDS_MAX = 64
"""Slots of change feeds, which never take the place of others. An operator drops those that nobody needs."""
UNKNOWN_SECONDS_MAX = 600
"""A slot of a replica that acknowledged nothing goes when it was away for so long."""


def to_forget(slots: Sequence[Slot], connected: Container[bytes], limits: SlotLimits) -> list[Slot]:
    """The slots that are of no use: of nodes that never acknowledged anything, and of replicas that did not
    come back for as long again after their slot had let go. The slot of a feed stays until it is dropped: a
    reader that found none would not know what it missed."""
    return [
        slot
        for slot in slots
        if not slot.is_feed
        and slot.node_id not in connected
        and (
            (not slot.acknowledged and slot.idle_seconds > UNKNOWN_SECONDS_MAX)
            or (
                slot.invalid is not None
                and limits.idle_seconds_max is not None
                and slot.idle_seconds > 2 * limits.idle_seconds_max
            )
        )
    ]


def to_replace(slots: Sequence[Slot], connected: Container[bytes], known: Container[bytes]) -> Slot | None:
    """The slot that is worth least: of an unknown node, of one that acknowledged nothing, of one that let go,
    of the one that was away longest. None when all are connected. A feed's is never among them."""
    away = [slot for slot in slots if not slot.is_feed and slot.node_id not in connected]
    return min(
        away,
        key=lambda slot: (
            slot.node_id in known,
            slot.acknowledged,
            slot.invalid is None,
            -slot.idle_seconds,
            slot.seen_us,
        ),
        default=None,
    )


def state_of(slot: Slot, log: LogFacts, kept_bytes: int) -> SlotState:
    """`kept_bytes` is the log that retention keeps in any case."""
    if log.oldest > slot.sequence + 1 and slot.sequence < log.newest:
        return SlotState.LOST
    if slot.invalid is not None:
        return SlotState.UNRESERVED
    retained = log_bytes_after(log.files, slot.sequence, log.newest)
    return SlotState.RESERVED if retained <= kept_bytes else SlotState.EXTENDED


def over_limits(slots: Sequence[Slot], limits: SlotLimits, log: LogFacts) -> list[tuple[Slot, str]]:
    """The slots that must let go now, each with the reason. Those that already did are not among them."""
    over = []
    within = []
    some_may_be = sum(file.size_bytes for file in log.files) > limits.log_bytes_max
    for slot in slots:
        if slot.invalid is None:
            reason = over_cap(slot.sequence, limits, log) if some_may_be else None
            reason = reason or _over_idle(slot, limits)
            if reason is None:
                within.append(slot)
            else:
                over.append((slot, reason))
    return over + _over_floor(within, log)


def over_cap(sequence: int, limits: SlotLimits, log: LogFacts) -> str | None:
    """Why a slot at `sequence` would hold too much, or None."""
    held = log_bytes_after(log.files, sequence, log.newest)
    if held > limits.log_bytes_max:
        return f"it held {held} bytes of log, the cap is {limits.log_bytes_max}"
    return None


def _over_idle(slot: Slot, limits: SlotLimits) -> str | None:
    if limits.idle_seconds_max is not None and slot.idle_seconds > limits.idle_seconds_max:
        who = "reader" if slot.is_feed else "replica"
        return f"its {who} was away for {slot.idle_seconds} s, the cap is {limits.idle_seconds_max:g}"
    return None


def _over_floor(slots: Sequence[Slot], log: LogFacts) -> list[tuple[Slot, str]]:
    """The ones furthest behind, as many as it takes, and only those without which log would really go."""
    if log.short_bytes <= 0:
        return []
    ordered = sorted(slots, key=lambda slot: slot.sequence)
    over: list[tuple[Slot, str]] = []
    for index, slot in enumerate(ordered):
        missing = log.short_bytes - _freed_below(slot.sequence + 1, log)
        following = ordered[index + 1].sequence + 1 if index + 1 < len(ordered) else log.newest + 1
        if missing <= 0:
            break
        if _freed_below(following, log) > _freed_below(slot.sequence + 1, log):
            over.append((slot, f"the disk was {missing} bytes short of the room that shall stay free"))
    return over


def _freed_below(held_from: int, log: LogFacts) -> int:
    """Bytes of log that may go when `held_from` is the lowest sequence number that anybody holds."""
    return sum(
        file.size_bytes
        for file in log.files
        if file.last_sequence < held_from and file.last_sequence <= log.flushed
    )


def log_bytes_after(files: Sequence[HeldSegment], sequence: int, newest: int) -> int:
    """About how many bytes of log follow `sequence`; the segment that holds it counts in proportion."""
    total = 0
    for file in files:
        last = max(min(file.last_sequence, newest), file.first_sequence)
        if sequence < file.first_sequence:
            total += file.size_bytes
        elif sequence < last:
            total += file.size_bytes * (last - sequence) // (last - file.first_sequence + 1)
    return total
