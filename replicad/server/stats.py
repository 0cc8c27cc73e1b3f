"""What the server counts; INFO shows it."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class ServerStats:
    connections: int = 0
    rejected: int = 0
    commands: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    error_replies: int = 0
    hits: int = 0
    misses: int = 0
    commits: int = 0
    groups: int = 0
    closed_for_limits: int = 0
    errors: int = 0

    sampled_at: float = 0.0
    sampled_commands: int = 0
    sampled_rate: int = 0

    def reset(self) -> None:
        for field in fields(self):
            setattr(self, field.name, 0)

    def commands_per_second(self, now: float) -> int:
        """Since the last look that is at least a second ago."""
        passed = now - self.sampled_at
        if passed >= 1.0:
            self.sampled_rate = max(0, round((self.commands - self.sampled_commands) / passed))
            self.sampled_at, self.sampled_commands = now, self.commands
        return self.sampled_rate
