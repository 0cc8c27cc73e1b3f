"""Which segments move to the archive and which go: one decision over plain values.

A segment is needed by recovery while it holds more than the tables do. After that it is archived, and it goes
when nobody holds it and the log is larger or older than the options allow, or the disk is short of room.
"""

from __future__ import annotations

from dataclasses import dataclass

from replicad.types import Sequence


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    last_sequence: Sequence
    size_bytes: int
    archived: bool
    age_seconds: float
    """Since it was archived, counted while the database was open; 0 for a live one."""
    sealed: bool


@dataclass(frozen=True, slots=True)
class RetentionRules:
    flushed: Sequence
    """Tables hold everything through this one."""
    held_from: Sequence | None
    """The lowest sequence number that a slot or lease still needs."""
    bytes_max: int
    seconds_max: float | None
    short_bytes: int = 0
    """What is missing on the disk to the room that has to stay free; deleting segments helps."""


@dataclass(frozen=True, slots=True)
class RetentionChoice:
    delete: int
    """This many segments, oldest first."""
    archive: int
    """This many of the live ones that are left, oldest first."""


def choose(segments: list[SegmentFacts], rules: RetentionRules) -> RetentionChoice:
    """`segments` is the chain, oldest first."""
    # Recovery needs what the tables do not hold yet, and a segment that is not sealed is still written. From
    # the first such segment on everything stays where it is.
    idle = 0
    for facts in segments:
        if not facts.archived and (not facts.sealed or facts.last_sequence > rules.flushed):
            break
        idle += 1

    # The log goes from its oldest end only: what is left must stay one chain. So the first segment that is
    # held, or that no limit asks for, keeps all after it.
    delete = freed = 0
    total = sum(facts.size_bytes for facts in segments)
    for facts in segments[:idle]:
        old = rules.seconds_max is not None and facts.age_seconds > rules.seconds_max
        held = rules.held_from is not None and facts.last_sequence >= rules.held_from
        short = freed < rules.short_bytes
        if held or not (old or short or total > rules.bytes_max):
            break

        total -= facts.size_bytes
        freed += facts.size_bytes
        delete += 1

    archive = sum(not facts.archived for facts in segments[delete:idle])
    return RetentionChoice(delete, archive)
