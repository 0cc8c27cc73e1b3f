"""What a node sent to others and got from others, in all sessions together; counted since it was started."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Traffic:
    """Belongs to the event loop."""

    stream_sent_bytes: int = 0
    stream_sent_batches: int = 0
    copy_sent_bytes: int = 0
    stream_received_bytes: int = 0
    copy_received_bytes: int = 0

    streams: int = 0
    """Sessions that went on from the log."""
    full_copies: Counter[str] = field(default_factory=Counter)
    """Copies that were made, by the code of the agreement's reason."""
    refused: Counter[str] = field(default_factory=Counter)
    """Sessions that this node refused, by the code that it sent."""

    @property
    def resumed(self) -> int:
        """Sessions without a copy before them: each copy is followed by a session that goes on from it."""
        return max(0, self.streams - self.full_copies.total())

    @property
    def sent_bytes(self) -> int:
        return self.stream_sent_bytes + self.copy_sent_bytes

    @property
    def received_bytes(self) -> int:
        return self.stream_received_bytes + self.copy_received_bytes

    def document(self) -> dict[str, Any]:
        return {
            "streams": self.streams,
            "stream_sent_bytes": self.stream_sent_bytes,
            "stream_sent_batches": self.stream_sent_batches,
            "copy_sent_bytes": self.copy_sent_bytes,
            "stream_received_bytes": self.stream_received_bytes,
            "copy_received_bytes": self.copy_received_bytes,
            "full_copies": dict(self.full_copies),
        }
