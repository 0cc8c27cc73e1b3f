"""What the server counts; INFO shows it."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class ServerStats:
    connections: int = 0
    rejected: int = 0
    commands: int = 0
    input_bytes: int = 0
    commits: int = 0
    groups: int = 0
    closed_for_limits: int = 0
    errors: int = 0

    def reset(self) -> None:
        for field in fields(self):
            setattr(self, field.name, 0)
