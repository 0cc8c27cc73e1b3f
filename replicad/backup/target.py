"""Where backups go: a flat space of named files that appear whole or not at all.

A directory goes through `env`, synced; everything else is a URL that fsspec knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from replicad.env.filesystem import Bytes


class Target(Protocol):
    """Names are relative, with "/" between their parts. Calls block; any thread may make them.

    After a write or a deletion every later call, of any process, sees it.
    """

    url: str
    """For messages and for people."""

    def list(self, prefix: str) -> dict[str, int]:
        """Size by name of every file whose name begins with `prefix`, which ends with "/" or is empty."""
        ...

    def size(self, name: str) -> int | None:
        """None when there is no such file."""
        ...

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """At most `length` bytes, fewer only at the end of the file. Raises NotFoundError."""
        ...

    def write(self, name: str, chunks: Iterable[Bytes]) -> None:
        """Makes the chunks the content of `name`, durable when this returns, whole or not at all.

        A chunk may be gone when the next one is asked for. When `chunks` raises, or the process ends, a file
        that was there before is as it was. Raises DiskFullError.
        """
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Removes files, durably; fine if they are gone."""
        ...

    def remove_unfinished(self, age_seconds: float) -> int:
        """Removes what writes that were cut short left so long ago, by the target's clock; how many."""
        ...


@runtime_checkable
class SettlingTarget(Target, Protocol):
    """A target that may show a file before it is durable: one that was written without `sync`, or by a
    process that died, or whose disk failed, before the name was synced."""

    def settle(self, names: Iterable[str]) -> None:
        """Makes those of these files durable that are there, also those that somebody else wrote."""
        ...


@runtime_checkable
class DatingTarget(Target, Protocol):
    """A target that knows how old its files are, by one clock: its own."""

    def ages_seconds(self, names: Iterable[str]) -> dict[str, float]:
        """How long ago each was written; without those that are gone, or whose age nobody knows."""
        ...


def ages_seconds(target: Target, names: Iterable[str]) -> dict[str, float]:
    """Ages by the clock of the target; empty where it has none. The clocks of its users never count."""
    return target.ages_seconds(names) if isinstance(target, DatingTarget) else {}


def settle(target: Target, names: Iterable[str]) -> None:
    """Before anything is published that relies on files which somebody else wrote."""
    if isinstance(target, SettlingTarget):
        target.settle(names)
