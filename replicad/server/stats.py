"""What the server counts; INFO shows it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from replicad import kernels
from replicad.env.durations import Durations


@dataclass(slots=True)
class ServerStats:
    connections: int = 0
    rejected: int = 0
    error_replies: int = 0
    commits: int = 0
    groups: int = 0
    closed_for_limits: int = 0
    errors: int = 0
    malformed: int = 0
    """Clients that were closed because what they sent is not RESP."""

    sampled_at: float = 0.0
    sampled_commands: int = 0
    sampled_rate: int = 0

    commit_durations: Durations = field(default_factory=Durations)

    counts: kernels.CommandCounts = field(default_factory=kernels.CommandCounts)
    """Commands, hits and misses, bytes received and sent: the kernel counts its own, Python adds to them."""

    def reset(self) -> None:
        for each in fields(self):
            if isinstance(getattr(self, each.name), int | float):
                setattr(self, each.name, 0)
        self.commit_durations = Durations()
        self.counts.reset()

    def commands_per_second(self, now: float) -> int:
        """Since the last look that is at least a second ago."""
        passed = now - self.sampled_at
        commands = self.counts.commands
        if passed >= 1.0:
            self.sampled_rate = max(0, round((commands - self.sampled_commands) / passed))
            self.sampled_at, self.sampled_commands = now, commands
        return self.sampled_rate
