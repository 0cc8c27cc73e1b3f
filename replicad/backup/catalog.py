"""A cache of what all metas say, so that opening a target is one listing and one read.

It is never an authority: an entry counts only while its meta is there with the size that it had, and whatever
is missing, stale or damaged is read from the metas again. What is decided (which backup is the newest, what
may go) is decided by the metas; an entry only saves parsing one that has the digest that it had. Entries come
in the order of ids, each with the shared files that it has more and less than the one before it, so it grows
with what changes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from replicad.backup import envelope
from replicad.backup.info import BackupInfo
from replicad.backup.meta import BackupMeta
from replicad.backup.names import BackupId
from replicad.errors import CorruptionError, InvalidArgument
from replicad.types import DatabaseId, Position

CATALOG_KIND = "backup-catalog"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One backup. `info.own_bytes` counts its private files only."""

    info: BackupInfo
    meta_bytes: int
    meta_sha256: bytes
    """Of the whole document."""
    added: Mapping[str, int] = field(default_factory=dict)
    """Size by name of the shared files that the entry before it has not."""
    dropped: frozenset[str] = frozenset()
    """Names that only the entry before it has."""


Catalog = tuple[CatalogEntry, ...]
"""By id, ascending."""


def encode_catalog(catalog: Catalog) -> bytes:
    return envelope.encode(
        CATALOG_KIND,
        {
            "backups": [
                {
                    **_fields(entry.info),
                    "meta_bytes": entry.meta_bytes,
                    "meta_sha256": entry.meta_sha256.hex(),
                    "added": dict(entry.added),
                    "dropped": sorted(entry.dropped),
                }
                for entry in catalog
            ]
        },
    )


def decode_catalog(data: bytes) -> Catalog:
    """Raises CorruptionError or NewerFormatError."""
    body = envelope.decode(CATALOG_KIND, data)
    try:
        return tuple(
            CatalogEntry(
                info=_info(item),
                meta_bytes=item["meta_bytes"],
                meta_sha256=bytes.fromhex(item["meta_sha256"]),
                added=dict(item["added"]),
                dropped=frozenset(item["dropped"]),
            )
            for item in body["backups"]
        )
    except (KeyError, TypeError, ValueError, InvalidArgument) as error:
        raise CorruptionError(f"not a catalog: {error}", offset=0) from error


def summary(meta: BackupMeta, own_bytes: int) -> BackupInfo:
    return BackupInfo(
        id=meta.id,
        database_id=meta.database_id,
        position=meta.position,
        commit_time_us=meta.commit_time_us,
        created_us=meta.created_us,
        size_bytes=meta.size_bytes,
        own_bytes=own_bytes,
        file_count=len(meta.files),
        attachment_count=len(meta.attachments),
        copied_bytes=meta.copied_bytes,
        copied_files=meta.copied_files,
        metadata=meta.metadata,
    )


@dataclass(frozen=True, slots=True)
class ReadMeta:
    """A meta as it was read, with the size and the SHA-256 of its document."""

    meta: BackupMeta
    size_bytes: int
    sha256: bytes


def merged(old: Catalog, alive: Iterable[BackupId], metas: Mapping[BackupId, ReadMeta]) -> Catalog:
    """The catalog of the backups in `alive`; those not in `old` are in `metas`."""
    wanted = set(alive)
    known = {entry.info.id: entry for entry in old}

    before: dict[str, int] = {}
    """Shared files of the last entry of `old` that was passed."""
    shown: dict[str, int] = {}
    """Those of the last entry of the result."""
    result: list[CatalogEntry] = []

    # While the entry before is the same in `old` and in the result, the differences that `old` has recorded
    # fit as they are. After an entry that was left out or is new they are computed again, until both agree.
    aligned = True
    for id in sorted(wanted | known.keys()):
        entry = known.get(id)
        if entry is not None:
            _advance(before, entry)

        if id not in wanted:
            aligned = False
        elif entry is not None and id not in metas and aligned:
            result.append(entry)
            _advance(shown, entry)
        else:
            if id in metas:
                read, meta = metas[id], metas[id].meta
                private = sum(file.size_bytes for file in meta.files if file.kind == "private")
                fresh = CatalogEntry(
                    info=summary(meta, private), meta_bytes=read.size_bytes, meta_sha256=read.sha256
                )
                now = meta.shared
            else:
                assert entry is not None
                fresh, now = entry, dict(before)

            added = {name: size for name, size in now.items() if name not in shown}
            dropped = frozenset(name for name in shown if name not in now)

            result.append(replace(fresh, added=added, dropped=dropped))
            shown = dict(now)
            aligned = shown == before
    return tuple(result)


def _advance(files: dict[str, int], entry: CatalogEntry) -> None:
    for name in entry.dropped:
        files.pop(name, None)
    files.update(entry.added)


def infos(catalog: Catalog) -> list[BackupInfo]:
    """With the bytes that only each one has."""
    users: dict[str, int] = {}
    """How many backups have a file, as far as those are counted that no longer have it."""
    since: dict[str, tuple[int, int]] = {}
    """Of files that the entry before has: in which one they came, and their size."""
    last_user: dict[str, tuple[int, int]] = {}

    def count(name: str, until: int) -> None:
        came, size = since.pop(name)
        users[name] = users.get(name, 0) + until - came
        last_user[name] = (came, size)

    for number, entry in enumerate(catalog):
        for name in entry.dropped:
            count(name, number)
        for name, size in entry.added.items():
            since[name] = (number, size)
    for name in list(since):
        count(name, len(catalog))
    own = [entry.info.own_bytes for entry in catalog]
    for name, times in users.items():
        if times == 1:
            number, size = last_user[name]
            own[number] += size
    return [replace(entry.info, own_bytes=own[number]) for number, entry in enumerate(catalog)]


def _fields(info: BackupInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "database_id": info.database_id.hex(),
        "position": str(info.position),
        "commit_time_us": info.commit_time_us,
        "created_us": info.created_us,
        "size_bytes": info.size_bytes,
        "private_bytes": info.own_bytes,
        "file_count": info.file_count,
        "attachment_count": info.attachment_count,
        "copied_bytes": info.copied_bytes,
        "copied_files": info.copied_files,
        "metadata": base64.b64encode(info.metadata).decode(),
    }


def _info(item: dict[str, Any]) -> BackupInfo:
    return BackupInfo(
        id=BackupId(item["id"]),
        database_id=DatabaseId(bytes.fromhex(item["database_id"])),
        position=Position.parse(item["position"]),
        commit_time_us=item["commit_time_us"],
        created_us=item["created_us"],
        size_bytes=item["size_bytes"],
        own_bytes=item["private_bytes"],
        file_count=item["file_count"],
        attachment_count=item["attachment_count"],
        copied_bytes=item["copied_bytes"],
        copied_files=item["copied_files"],
        metadata=base64.b64decode(item["metadata"], validate=True),
    )
