"""Objects of the archived log (`proto/log-archive.md`): all that planning needs is in their names.

    log/<database id>/<epoch>-<first>-<last>-<history hash>-<commit time>.log
    log/<database id>/idle-<epoch>-<last>-<history hash>-<time>           empty: a mark

Each is a log segment of its own (`proto/log.md`): a header that has the position before it, and whole
frames of one epoch. The hash and the commit time are those of the last frame, so one listing shows what there
is, through which position, and until when. Objects may overlap: a small one lives on for a moment beside the
large one that replaced it, and two nodes may archive the same log in different pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

PREFIX = "log/"
_MARK = re.compile(
    r"log/[0-9a-f]{32}/idle-(?P<epoch>\d{10})-(?P<last>\d{20})-(?P<hash>[0-9a-f]{16})-(?P<time>\d{20})"
)
_NAME = re.compile(
    r"log/(?P<database>[0-9a-f]{32})/(?P<epoch>\d{10})-(?P<first>\d{20})-(?P<last>\d{20})"
    r"-(?P<hash>[0-9a-f]{16})-(?P<time>\d{20})\.log"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogObject:
    """The frames from `first` through `end`, all of one epoch."""

    database_id: DatabaseId
    first: Sequence
    end: Position
    commit_time_us: int
    """Of the last frame; no earlier frame has a later one."""
    size_bytes: int

    @property
    def epoch(self) -> Epoch:
        return self.end.epoch

    @property
    def last(self) -> Sequence:
        return self.end.sequence

    @property
    def name(self) -> str:
        return (
            f"{database_prefix(self.database_id)}{self.epoch:010d}-{self.first:020d}-{self.last:020d}"
            f"-{self.end.history_hash:016x}-{self.commit_time_us:020d}.log"
        )


def database_prefix(database_id: DatabaseId) -> str:
    return f"{PREFIX}{database_id.hex()}/"


def parse_object(name: str, size_bytes: int) -> LogObject | None:
    """None for a name that is not one of ours."""
    match = _NAME.fullmatch(name)
    if match is None or int(match["first"]) > int(match["last"]):
        return None
    return LogObject(
        database_id=DatabaseId(bytes.fromhex(match["database"])),
        first=Sequence(int(match["first"])),
        end=Position(
            Epoch(int(match["epoch"])),
            Sequence(int(match["last"])),
            HistoryHash(int(match["hash"], 16)),
        ),
        commit_time_us=int(match["time"]),
        size_bytes=size_bytes,
    )


@dataclass(frozen=True, slots=True)
class ArchiveMark:
    """Nothing but what ends at `end` was committed until `time_us`: its database was idle."""

    end: Position
    time_us: int


def mark_name(database_id: DatabaseId, mark: ArchiveMark) -> str:
    end = mark.end
    return (
        f"{database_prefix(database_id)}idle-{end.epoch:010d}-{end.sequence:020d}-{end.history_hash:016x}"
        f"-{mark.time_us:020d}"
    )


def marks_of(listing: Iterable[str]) -> dict[str, ArchiveMark]:
    """The marks in a listing, by name."""
    found = {}
    for name in listing:
        if (match := _MARK.fullmatch(name)) is not None:
            end = Position(
                Epoch(int(match["epoch"])), Sequence(int(match["last"])), HistoryHash(int(match["hash"], 16))
            )
            found[name] = ArchiveMark(end, int(match["time"]))
    return found


def objects_of(listing: Mapping[str, int]) -> list[LogObject]:
    """The log objects in a listing, by epoch and first sequence number."""
    found = [parse_object(name, size_bytes) for name, size_bytes in listing.items()]
    return sorted(
        (each for each in found if each is not None), key=lambda each: (each.epoch, each.first, each.last)
    )
