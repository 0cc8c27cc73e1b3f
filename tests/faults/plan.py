"""Which call of a run fails, how, and for how long; and the file system's side of it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.files.memory_filesystem import ShortWrite

Kind = Literal["EIO", "ENOSPC", "short EIO", "short ENOSPC"]
Duration = Literal["once", "for ever"]
Durability = Literal["sync", "async"]

_ROOM_NEEDED: tuple[Kind, ...] = ("EIO", "ENOSPC")
KINDS: dict[str, tuple[Kind, ...]] = {
    "append": ("EIO", "ENOSPC", "short EIO", "short ENOSPC"),
    "create": _ROOM_NEEDED,
    "mkdir": _ROOM_NEEDED,
    "link": _ROOM_NEEDED,
    "rename": _ROOM_NEEDED,
    "sync": ("EIO",),
    "sync_directory": ("EIO",),
    "truncate": ("EIO",),
    "unlink": ("EIO",),
    "open": ("EIO",),
    "read": ("EIO",),
    "list": ("EIO",),
}
"""How each call can fail. Giving back space needs none; a sync that finds none is a failed sync."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`number` counts the calls of the script's run from 0. For ever means: all such calls, until the disk
    heals."""

    script: str
    durability: Durability
    number: int
    kind: Kind
    duration: Duration

    def __str__(self) -> str:
        return f"{self.script}:{self.durability}:{self.number}:{self.kind}:{self.duration}"

    @classmethod
    def parse(cls, text: str) -> Plan:
        script, durability, number, kind, duration = text.split(":")
        return cls(script, durability, int(number), kind, duration)  # type: ignore[arg-type]

    @property
    def is_full_disk(self) -> bool:
        return self.kind.endswith("ENOSPC")

    def lasts_for(self, call: str) -> bool:
        """Whether every such call fails once the first one did."""
        return self.duration == "for ever" and self.kind in KINDS[call]


class Faults:
    """The `before` of a MemoryFileSystem. Without a plan it only counts."""

    def __init__(self, plan: Plan | None) -> None:
        self.plan = plan
        self.calls: list[str] = []
        self.struck: str | None = None
        """The call that failed first, with its path."""
        self.healed = False

    def __call__(self, call: str, path: Path, size: int) -> None:
        self.calls.append(call)
        plan = self.plan
        if plan is None or self.healed:
            return
        first = len(self.calls) - 1 == plan.number
        if first:
            self.struck = f"{call} {path}"
        elif self.struck is None or plan.duration == "once":
            return
        if plan.kind in KINDS[call]:
            self._fail(plan, call, path, size)

    def _fail(self, plan: Plan, call: str, path: Path, size: int) -> None:
        number = errno.ENOSPC if plan.is_full_disk else errno.EIO
        if plan.kind.startswith("short"):
            raise ShortWrite(number, size // 2)
        raise OSError(number, "injected", str(path))
