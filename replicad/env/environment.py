"""The bundle that the layers above are given."""

from __future__ import annotations

from dataclasses import dataclass, field

from replicad.env.clock import Clock, SystemClock
from replicad.env.filesystem import FileSystem
from replicad.env.local import LocalFileSystem
from replicad.env.process import boot_id
from replicad.env.random import Random, SystemRandom
from replicad.env.runner import Runner, ThreadRunner


@dataclass(frozen=True, kw_only=True)
class Env:
    """Disk, clock, randomness and threads. `Env()` is the real machine."""

    fs: FileSystem = field(default_factory=LocalFileSystem)
    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=SystemRandom)
    runner: Runner = field(default_factory=ThreadRunner)
    boot_id: str = field(default_factory=boot_id)
    """What the operating system calls this run of itself; "" where it does not say."""

    @classmethod
    def local(cls) -> Env:
        """The real machine."""
        return cls()
