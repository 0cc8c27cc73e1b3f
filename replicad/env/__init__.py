"""The only door to disk, clock, randomness and background threads.

Everything above is given an `Env` and asks it. Tests and the simulation give another one.
"""

from replicad.env.bells import Bells
from replicad.env.clock import Clock, SystemClock
from replicad.env.descriptors import raise_descriptor_limit
from replicad.env.environment import Env
from replicad.env.filesystem import (
    AppendFile,
    DirectoryLock,
    FileStamp,
    FileSystem,
    ReadFile,
    is_no_room,
    naming_full_disk,
)
from replicad.env.local import LocalFileSystem
from replicad.env.random import Random, SystemRandom
from replicad.env.rate_limit import ThreadRateLimiter
from replicad.env.runner import Lane, Runner, ThreadRunner

__all__ = [
    "AppendFile",
    "Bells",
    "Clock",
    "DirectoryLock",
    "Env",
    "FileStamp",
    "FileSystem",
    "Lane",
    "LocalFileSystem",
    "Random",
    "ReadFile",
    "Runner",
    "SystemClock",
    "SystemRandom",
    "ThreadRateLimiter",
    "ThreadRunner",
    "is_no_room",
    "naming_full_disk",
    "raise_descriptor_limit",
]
