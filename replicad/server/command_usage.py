"""How often each command was asked for, what it took, and how it ended: INFO and the metrics show it.

Nobody reads the clock for each simple command. What the kernel executes is measured by rounds: each read in a
round counts with the time of the round, and each write with the time from there until its group is committed.
What Python executes is measured between two looks at the clock, which stand after each command that may take
long. So a time is at least what a client waited for the node, and the sum is what the node spent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from replicad.env.durations import Durations
from replicad.kernels import CommandCounts


@dataclass(slots=True)
class CommandUsage:
    calls: int = 0
    seconds: float = 0.0
    rejected: int = 0
    """Refused before they were executed: wrong number of arguments, or a replica that takes no writes."""
    failed: int = 0
    group: str = ""
    """Where its times are counted, once it has some."""


class CommandUsages:
    """Belongs to the event loop."""

    def __init__(
        self,
        counts: CommandCounts,
        kernel_calls: Callable[[], dict[str, int]],
        group_of: Callable[[str], str],
    ) -> None:
        """`kernel_calls` says how often the kernel has executed each of its commands, `group_of` the group of
        such a command."""
        self.by_name: defaultdict[str, CommandUsage] = defaultdict(CommandUsage)
        self.by_group: defaultdict[str, Durations] = defaultdict(Durations)
        self.errors: Counter[str] = Counter()
        """Error replies by their code."""
        self.kernel_seconds = 0.0
        """What the kernel spent with commands and was not told to `by_name` yet."""
        self._counts = counts
        self._kernel_calls = kernel_calls
        self._group_of = group_of
        self._known: dict[str, int] = {}
        self._reads = 0
        self._writes = 0

    # What the kernel executed.

    def take_writes(self) -> int:
        """How many commands of the kernel have written since the last call."""
        counted = self._counts.writes
        writes, self._writes = counted - self._writes, counted
        return writes

    def add_reads(self, seconds: float) -> None:
        """Those of the kernel that have read since the last call took that long."""
        counted = self._counts.reads
        if counted != self._reads:
            self.by_group["read"].add(seconds, counted - self._reads)
            self._reads = counted

    def settle(self) -> None:
        """Tells `by_name` what the kernel did since the last call. Its time goes to its commands by their
        number: it is not known better."""
        calls = self._kernel_calls()
        new = {name: count - self._known.get(name, 0) for name, count in calls.items()}
        each = self.kernel_seconds / max(1, sum(new.values()))
        self._known, self.kernel_seconds = calls, 0.0
        for name, count in new.items():
            if count:
                found = self.by_name[name]
                found.calls += count
                found.seconds += count * each
                found.group = self._group_of(name)

    # What Python executed.

    def took(self, name: str, group: str, seconds: float) -> None:
        found = self.by_name[name]
        found.seconds += seconds
        found.group = group
        if group != "write":  # counts with its commit
            self.by_group[group].add(seconds)

    def failed(self, name: str, reply: bytes) -> None:
        """`reply` is the error that the command was answered with."""
        self.by_name[name].failed += 1
        self.note_error(reply)

    def rejected(self, name: str, reply: bytes) -> None:
        self.by_name[name].rejected += 1
        self.note_error(reply)

    def note_error(self, reply: bytes) -> None:
        code = reply[1:].split(None, 1)[0].decode("ascii", "replace")
        self.errors[code if code.isupper() else "ERR"] += 1

    def reset(self) -> None:
        """After the counts."""
        self.settle()
        self._reads, self._writes = self._counts.reads, self._counts.writes
        self.by_name.clear()
        self.by_group.clear()
        self.errors.clear()
