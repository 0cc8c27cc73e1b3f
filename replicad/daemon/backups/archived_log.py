"""The log that another node archived, for a replica that lacks it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from replicad.env import Env
from replicad.types import DatabaseId, EpochRecord, Position
from replicad.types import Sequence as SequenceNumber

if TYPE_CHECKING:
    from replicad.backup.archive.joined_log import JoinedLog, LogPiece


class TargetLog:
    """The archived log in a backup target. Satisfies replication's `LogArchive`; blocks."""

    def __init__(self, env: Env, where: str) -> None:
        self._env = env
        self._where = where

    def frames_after(
        self, database_id: bytes, epochs: Sequence[EpochRecord], start: Position, goal: int, /
    ) -> Generator[bytes, None, None]:
        # Few nodes ever read an archived log: a node that starts does not wait for these modules.
        from replicad.backup.archive.frames import read_line
        from replicad.backup.archive.log import look_at_log
        from replicad.backup.open_target import open_target

        target = open_target(self._where, self._env)
        archived = look_at_log(target, DatabaseId(database_id), epochs)
        pieces = joined(archived.from_base(start, SequenceNumber(goal)), start)
        for chunk in read_line(target, pieces, start):
            yield chunk.frames


def joined(line: JoinedLog, start: Position) -> list[LogPiece]:
    """The pieces that continue `start` without a gap."""
    found: list[LogPiece] = []
    at = start.sequence
    for piece in line.pieces:
        if piece.after != at:
            break
        found.append(piece)
        at = piece.through
    return found
