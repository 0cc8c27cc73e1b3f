"""Slots in the status document: how much log each holds; and the change feeds, which have no session."""

from __future__ import annotations

from typing import Any

from replicad.replication.links.source import SLOT_NAME
from replicad.replication.primary.node import PrimaryNode
from replicad.replication.primary.slot_upkeep import SlotView

Document = dict[str, Any]

LINK_AWAY_SECONDS = 60
"""A primary that is linked writes its clock more often, and the target acknowledges that."""


def slot_document(view: SlotView | None) -> Document:
    """How much log is kept for a replica or a feed, and how long that can go on."""
    if view is None:
        return {"slot": None}
    return {
        "slot": view.state.value,
        "slot_reason": view.slot.invalid,
        "slot_retained_bytes": view.retained_bytes,
        "slot_safe_bytes": view.safe_bytes,
        "slot_exhausted_in_seconds": view.exhausted_in_seconds
        and round(min(view.exhausted_in_seconds, 1e9), 1),
    }


def feeds_document(node: PrimaryNode) -> list[Document]:
    """One entry for each slot of a change feed, whether somebody reads it or not."""
    newest = node.newest.sequence
    entries = []
    for view in node.upkeep.views().values():
        slot = view.slot
        if not slot.is_feed:
            continue
        reader = node.feed_slots.reader_of(slot.node_id)
        is_link = slot.name.startswith(SLOT_NAME)
        # Only acknowledgements say whether a link is there: it has a session of its own.
        reads = slot.idle_seconds < LINK_AWAY_SECONDS if is_link else reader is not None
        entries.append(
            {
                "kind": "link" if is_link else "feed",
                "node_id": slot.node_id.hex(),
                "name": slot.name,
                "state": "reading" if reads else "away",
                "address": None if reader is None else reader.peer,
                "position": slot.position,
                "acknowledged_sequence": slot.sequence,
                "lag_sequences": max(0, newest - slot.sequence),
                "lag_bytes": view.retained_bytes,
                "seen_us": slot.seen_us,
                "away_seconds": slot.idle_seconds,
                **slot_document(view),
            }
        )
    return entries
