"""A piece of work that is measured on both sides in turn, and the lines of the table that come of it."""

from __future__ import annotations

import fnmatch
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one measurement gave. `processor_us` is the server's, of one operation; `peak_bytes` its VmHWM."""

    value: float
    processor_us: float | None = None
    peak_bytes: int | None = None


Measured = Mapping[str, Figure]
"""Figures by name; a work with one figure calls it ''."""
Measure = Callable[[], Measured]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The least that a figure must be: as a ratio to the peer's, or in its own unit, at most."""

    ratio: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return (
            "-"
            if self.ratio is None and self.at_most is None
            else (f"{self.ratio:g}" if self.at_most is None else f"<= {self.at_most:g}")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`ours` and `theirs` measure once. Without `theirs` there is nothing to compare with."""

    name: str
    unit: str
    ours: Measure
    theirs: Measure | None = None
    peer: str = ""
    less_is_better: bool = False
    limits: Mapping[str, Limit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows that share running nodes. `needs` names the programs without which it is skipped."""

    names: tuple[str, ...]
    needs: tuple[str, ...]
    open: Callable[[Path], AbstractContextManager[list[Row]]]

    def missing(self) -> list[str]:
        return [program for program in self.needs if shutil.which(program) is None]

    def is_wanted(self, only: str) -> bool:
        return any(fnmatch.fnmatchcase(name, only) for name in self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: medians of the rounds."""

    name: str
    unit: str
    peer: str
    ours: float
    theirs: float | None
    ratio: float | None
    limit: str
    holds: bool | None
    processor_us: tuple[float | None, float | None]
    peak_bytes: tuple[int | None, int | None]

    def document(self) -> dict[str, Any]:
        return asdict(self)


def measure(row: Row, rounds: int) -> list[Line]:
    """Ours, theirs, ours, theirs, …: what the machine does meanwhile meets both."""
    ours: list[Measured] = []
    theirs: list[Measured] = []
    for _ in range(rounds):
        ours.append(row.ours())
        if row.theirs is not None:
            theirs.append(row.theirs())
    return [_line(row, name, ours, theirs) for name in ours[0]]


def _line(row: Row, name: str, ours: list[Measured], theirs: list[Measured]) -> Line:
    mine = statistics.median(one[name].value for one in ours)
    other = statistics.median(one[name].value for one in theirs) if theirs else None
    ratio = None
    if other:
        above, below = (other, mine) if row.less_is_better else (mine, other)
        ratio = above / below if below else None
    limit = row.limits.get(name, Limit())
    holds: bool | None = None
    if limit.ratio is not None and ratio is not None:
        holds = ratio >= limit.ratio
    elif limit.at_most is not None:
        holds = mine <= limit.at_most
    return Line(
        name=f"{row.name}{' ' if name else ''}{name}",
        unit=row.unit,
        peer=row.peer,
        ours=mine,
        theirs=other,
        ratio=ratio,
        limit=str(limit),
        holds=holds,
        processor_us=(_processor(name, ours), _processor(name, theirs)),
        peak_bytes=(_peak(name, ours), _peak(name, theirs)),
    )


def _processor(name: str, rounds: list[Measured]) -> float | None:
    known = [one[name].processor_us for one in rounds]
    found = [value for value in known if value is not None]
    return statistics.median(found) if found else None


def _peak(name: str, rounds: list[Measured]) -> int | None:
    known = [one[name].peak_bytes for one in rounds]
    return max((value for value in known if value is not None), default=None)


HEADING = (
    f"{'work':44}{'replicad':>12}{'peer':>12} {'':14}{'ratio':>7}{'least':>9}  {'':4}"
    f"{'µs/op':>15}{'peak MB':>15}"
)


def show(line: Line) -> None:
    theirs = "-" if line.theirs is None else _number(line.theirs)
    ratio = "-" if line.ratio is None else f"{line.ratio:.2f}"
    holds = "" if line.holds is None else "ok" if line.holds else "LESS"
    processor = " / ".join("-" if one is None else f"{one:.1f}" for one in line.processor_us)
    peak = " / ".join("-" if one is None else f"{one / 1e6:.0f}" for one in line.peak_bytes)
    name = f"{line.name} ({line.unit})"
    print(
        f"{name:44}{_number(line.ours):>12}{theirs:>12} {line.peer:14}{ratio:>7}{line.limit:>9}  {holds:4}"
        f"{processor:>15}{peak:>15}",
        flush=True,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def version_of(program: str, *arguments: str) -> str:
    """The first line that a program says of itself; that it is not there, otherwise."""
    if shutil.which(program) is None:
        return f"{program}: not installed"
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    return (done.stdout or done.stderr).splitlines()[0].strip()


def skipped(group: Group, missing: list[str]) -> None:
    print(f"skipped, {' and '.join(missing)} not installed: {', '.join(group.names)}", file=sys.stderr)
