"""Applies retention to the log of an open database: who needs which part of it, and what then moves or goes.

Runs on the flush lane: after flushes, at each rotation, when deletions are enabled again, and when somebody
who held log says that it may go.
"""

from __future__ import annotations

from replicad.store.wal.retention import RetentionRules, SegmentFacts, choose
from replicad.store.wal.segment import Segment
from replicad.store.writable_core import WritableCore
from replicad.types import Sequence


def apply_retention(core: WritableCore) -> None:
    """Ends leases that are over; archives what recovery no longer needs, and deletes what nobody needs."""
    core.leases.expire()
    with core.deletions.allowed() as allowed:
        if allowed:
            _apply(core)


def retention_rules(core: WritableCore) -> RetentionRules:
    """What holds the log now: tables, leases, slots, options, and room on the disk."""
    with core.version_lock:
        pinned = min(core.pins.log_from(), default=None)
        flushed = core.version.flushed.sequence
    held = core.holds.oldest_needed() if core.holds is not None else None
    held_from = min((sequence for sequence in (pinned, held) if sequence is not None), default=None)
    return RetentionRules(
        flushed if pinned is None else Sequence(min(flushed, pinned - 1)),
        None if held_from is None else Sequence(held_from),
        core.options.log_retention_bytes,
        core.options.log_retention_seconds,
        max(0, core.options.log_disk_floor_bytes - core.env.fs.free_bytes(core.catalog.live)),
    )


def _enforce_holds(core: WritableCore, segments: list[Segment]) -> None:
    if core.holds is not None:
        rules = retention_rules(core)
        core.holds.enforce([*segments], core.progress.durable, rules.flushed, rules.short_bytes)


def _apply(core: WritableCore) -> None:
    now = core.env.clock.monotonic()
    segments = core.catalog.segments()
    facts = [
        SegmentFacts(
            segment.last_sequence,
            segment.size_bytes,
            segment.archived,
            0.0 if segment.archived_at is None else now - segment.archived_at,
            segment.sealed,
        )
        for segment in segments
    ]

    # A holder that holds more than it may lets go first, so that its log can go now.
    _enforce_holds(core, segments)
    choice = choose(facts, retention_rules(core))

    for segment in segments[: choice.delete]:
        core.catalog.drop_oldest(segment)

    # Deletion comes first: what goes does not have to be moved.
    live = [segment for segment in segments[choice.delete :] if not segment.archived]
    for segment in live[: choice.archive]:
        core.catalog.move_to_archive(segment, now)
