"""What the log says of a disk without room."""

from __future__ import annotations

from structlog.testing import capture_logs

from replicad.daemon.process.room_watch import RoomWatch


def test_each_change_is_said_once_with_what_to_do() -> None:
    """Whatever it is that finds no room, and however often."""
    watch = RoomWatch()
    with capture_logs() as events:
        for reason in (None, "the log", "the log", "a flush", None, None, "a flush"):
            watch.look(reason)
    assert [event["event"] for event in events] == ["store.no_room", "store.has_room", "store.no_room"]
    assert events[0]["reason"] == "the log" and "free some on that disk" in events[0]["remedy"]
