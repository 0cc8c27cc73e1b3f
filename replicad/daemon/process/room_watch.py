"""Logs when a node has no room on its disk, and when it has room again: once each."""

from __future__ import annotations

from replicad.env.events import get_logger

log = get_logger("replicad.daemon")

REMEDY = (
    "free some on that disk: other files, or log that `replicad slot list` shows as held; writes go on by "
    "themselves"
)


class RoomWatch:
    def __init__(self) -> None:
        self._lacks_room = False

    def look(self, reason: str | None) -> None:
        """Called about once a second. `reason`: what there is no room for; None: there is room."""
        if (reason is not None) is self._lacks_room:
            return
        self._lacks_room = reason is not None
        if reason is not None:
            log.error("store.no_room", reason=reason, remedy=REMEDY)
        else:
            log.info("store.has_room")
