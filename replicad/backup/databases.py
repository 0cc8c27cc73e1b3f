"""Which database is meant at a target that several share. Pure decisions over ids.

Backups of other databases are never counted, removed or restored unless they are named: what a purge keeps it
keeps of each database, and a restore wants the database of the directory that it goes to.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from replicad.backup.info import BackupInfo
from replicad.backup.names import BackupId
from replicad.errors import InvalidArgument, NotFoundError
from replicad.types import DatabaseId

SHOWN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Present:
    """The database that is at the destination of a restore already, and the one that it was a copy of."""

    id: DatabaseId
    parent: DatabaseId | None = None


def short_names(ids: Iterable[DatabaseId]) -> dict[DatabaseId, str]:
    """The beginning of each id that tells it from the others, of at least eight digits."""
    ids = set(ids)
    digits = SHOWN_DIGITS
    while len({id.hex()[:digits] for id in ids}) < len(ids):
        digits += 1
    return {id: id.hex()[:digits] for id in ids}


def find_database(there: Iterable[DatabaseId], wanted: str | bytes, what: str = "backup") -> DatabaseId:
    """The one that is named, in full or by the beginning of its id in hex. Raises NotFoundError when there is
    none, and InvalidArgument when several begin so, or for what cannot be a beginning."""
    ids = set(there)
    text = wanted.hex() if isinstance(wanted, bytes) else wanted.lower()
    if not re.fullmatch("[0-9a-f]{1,32}", text):
        raise InvalidArgument(f"{wanted!r} is not a database's id, or the beginning of one, in hex digits")
    found = sorted(id for id in ids if id.hex().startswith(text))
    if not found:
        raise NotFoundError(f"there is no {what} of database {text}; {_those(ids)}")
    if len(found) > 1:
        raise InvalidArgument(f"several databases begin with {text}: {', '.join(id.hex() for id in found)}")
    return found[0]


def choose_database(
    there: Iterable[DatabaseId], present: Present | None, wanted: str | bytes | None
) -> DatabaseId:
    """The one that is named; or that of the destination, or the one that it is a copy of; or the only one.

    Raises NotFoundError, or InvalidArgument where several could be meant.
    """
    ids = set(there)
    if wanted is not None:
        return find_database(ids, wanted)

    # A directory that holds a database gets only that one, even where the target has but one other: it would
    # be replaced by mistake.
    if present is not None:
        for id in (present.id, present.parent):
            if id in ids:
                return id
        if ids:
            raise NotFoundError(
                f"there is no backup of the database at the destination ({present.id.hex()}); {_those(ids)}"
            )

    if not ids:
        raise NotFoundError("there is no backup to begin with")
    if len(ids) > 1:
        raise InvalidArgument(f"there are backups of several databases, name one of them: {_those(ids)}")
    return ids.pop()


def check_replaces(present: Present | None, other: DatabaseId) -> None:
    """Raises InvalidArgument when that database is not the one that is there, nor what it was a copy of."""
    if present is not None and other not in (present.id, present.parent):
        raise InvalidArgument(
            f"it is database {present.id.hex()}, and the backup is one of database {other.hex()}: restore it "
            "into another directory, or move this one away"
        )


def backups_to_drop(
    infos: Iterable[BackupInfo],
    damaged: Collection[BackupId],
    keep: int,
    database_id: DatabaseId | None = None,
) -> set[BackupId]:
    """All but the newest `keep` of each database, or of one.

    One that cannot be read is of no database that anybody knows: it goes only with a purge of all, when it is
    older than everything that is kept and something goes at all.
    """
    by_database: dict[DatabaseId, list[BackupId]] = {}
    for info in infos:
        if database_id is None or info.database_id == database_id:
            by_database.setdefault(info.database_id, []).append(info.id)
    drop: set[BackupId] = set()
    kept: set[BackupId] = set()
    for ids in by_database.values():
        ids.sort()
        newest = ids[-keep:] if keep else []
        kept.update(newest)
        drop.update(set(ids) - set(newest))
    if database_id is None and (drop or not keep):
        drop.update(id for id in damaged if not kept or id < min(kept))
    return drop


def latest(infos: Iterable[BackupInfo]) -> Mapping[DatabaseId, BackupInfo]:
    """The newest of each database."""
    return {info.database_id: info for info in sorted(infos, key=lambda info: info.id)}


def _those(ids: Collection[DatabaseId]) -> str:
    if not ids:
        return "the target has none"
    return "the target has " + ", ".join(id.hex() for id in sorted(ids))
