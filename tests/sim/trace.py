"""What happened, for people and as one hash: the same seed gives the same one in every process."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import MutableMapping
from typing import Any

import structlog

from tests.sim.loop import PROCESS, VirtualLoop

KEPT_LINES = 4000


class Trace:
    """Every event goes into the hash; the last lines are kept."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._hash = hashlib.blake2b(digest_size=16)
        self.events = 0
        self.lines: deque[tuple[float, str, str, dict[str, Any]]] = deque(maxlen=KEPT_LINES)

    def note(self, who: str, what: str, **fields: Any) -> None:
        """Something that a person would want to read."""
        self.lines.append((self._loop.now, who, what, fields))
        self.hash_only(who, what, fields)

    def hash_only(self, *what: Any) -> None:
        self.events += 1
        self._hash.update(repr((self._loop.now, *what)).encode())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def text(self) -> str:
        return "\n".join(
            f"{when:9.4f}  {who:<8} {what:<28} {' '.join(f'{k}={v}' for k, v in fields.items())}"
            for when, who, what, fields in self.lines
        )


def capture_logs(trace: Trace) -> None:
    """The daemons' own events go into the trace, under the name of their machine."""

    def capture(logger: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        what = event.pop("event")
        process = PROCESS.get()
        name = getattr(process, "name", "world")
        trace.note(name, what, **event)
        raise structlog.DropEvent

    structlog.configure(processors=[capture], cache_logger_on_first_use=False)


def keep_logs_quiet() -> None:
    """Nobody listens any more."""

    def drop(logger: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])
