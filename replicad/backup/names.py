"""Where everything lies at a target (`proto/backup.md`). Ids are whole numbers from 1, always increasing.

meta/<id>.json                       a backup
meta/<id>-<owner>.pending.json       a backup that is being made
meta/<id>-<owner>-<collector>.doubted.json   a collection is about to give that one up
meta/<id>-<owner>.revoked.json       it was given up, for good
meta/gc-<owner>.json                 files that are being removed
meta/last-<id>                       empty: ids through this one were used
meta/catalog.json                    a cache of what the metas say
private/<id>/<path>                  files of one backup
shared_checksum/<number>_<sha>_<size>-<id>.sst   tables, by identity; <id> is the backup that wrote it
attachments/<sha256>-<id>            files of the application, by content
"""

from __future__ import annotations

import re
from typing import NewType

from replicad.errors import InvalidArgument
from replicad.store.table.meta import TableMeta

BackupId = NewType("BackupId", int)

META = "meta/"
PRIVATE = "private/"
SHARED = "shared_checksum/"
ATTACHMENTS = "attachments/"
CATALOG = "meta/catalog.json"

_FINAL = re.compile(r"meta/([1-9]\d{0,17})\.json")
_PENDING = re.compile(r"meta/([1-9]\d{0,17})-([0-9a-f]{16})\.pending\.json")
_REVOKED = re.compile(r"meta/([1-9]\d{0,17})-([0-9a-f]{16})\.revoked\.json")
_DOUBTED = re.compile(r"meta/([1-9]\d{0,17})-([0-9a-f]{16})-[0-9a-f]{16}\.doubted\.json")
_COLLECTION = re.compile(r"meta/gc-([0-9a-f]{16})\.json")
_LAST = re.compile(r"meta/last-([1-9]\d{0,17})")
_PRIVATE = re.compile(r"private/([1-9]\d{0,17})/.+")
_TABLE = re.compile(r"(shared_checksum/\d{6,}_[0-9a-f]{16}_\d+)(?:-[1-9]\d*)?\.sst")
_ATTACHMENT = re.compile(r"(attachments/[0-9a-f]{64})(?:-[1-9]\d*)?")


def meta_name(id: BackupId) -> str:
    return f"meta/{id}.json"


def pending_name(id: BackupId, owner: str) -> str:
    return f"meta/{id}-{owner}.pending.json"


def revoked_name(id: BackupId, owner: str) -> str:
    return f"meta/{id}-{owner}.revoked.json"


def doubted_name(id: BackupId, owner: str, collector: str) -> str:
    return f"meta/{id}-{owner}-{collector}.doubted.json"


def collection_name(owner: str) -> str:
    return f"meta/gc-{owner}.json"


def last_name(id: BackupId) -> str:
    return f"meta/last-{id}"


def private_name(id: BackupId, path: str) -> str:
    return f"private/{id}/{path}"


def table_identity(meta: TableMeta) -> str:
    """Number, content and size: what every name of the table begins with."""
    return f"{SHARED}{meta.number:06d}_{meta.sha256.hex()[:16]}_{meta.size_bytes}"


def attachment_identity(sha256: bytes) -> str:
    return f"{ATTACHMENTS}{sha256.hex()}"


def shared_name(identity: str, writer: BackupId) -> str:
    """The name of a shared file that this backup writes: nobody else ever writes one of that name, nor does
    it twice, so a removal that comes late removes nothing new.

    >>> shared_name("shared_checksum/000012_9f86d081884c7d65_40960", BackupId(3))
    'shared_checksum/000012_9f86d081884c7d65_40960-3.sst'
    """
    return f"{identity}-{writer}" + (".sst" if identity.startswith(SHARED) else "")


def identity_of(name: str) -> str | None:
    """The identity in the name of a shared file, or None when it is the name of none."""
    match = _TABLE.fullmatch(name) or _ATTACHMENT.fullmatch(name)
    return None if match is None else match[1]


def id_of_meta(name: str) -> BackupId | None:
    match = _FINAL.fullmatch(name)
    return None if match is None else BackupId(int(match[1]))


def claim_of_pending(name: str) -> tuple[BackupId, str] | None:
    """(id, owner)."""
    match = _PENDING.fullmatch(name)
    return None if match is None else (BackupId(int(match[1])), match[2])


def claim_of_revoked(name: str) -> tuple[BackupId, str] | None:
    match = _REVOKED.fullmatch(name)
    return None if match is None else (BackupId(int(match[1])), match[2])


def claim_of_doubted(name: str) -> tuple[BackupId, str] | None:
    match = _DOUBTED.fullmatch(name)
    return None if match is None else (BackupId(int(match[1])), match[2])


def id_of_last(name: str) -> BackupId | None:
    match = _LAST.fullmatch(name)
    return None if match is None else BackupId(int(match[1]))


def id_of_private(name: str) -> BackupId | None:
    match = _PRIVATE.fullmatch(name)
    return None if match is None else BackupId(int(match[1]))


def is_collection(name: str) -> bool:
    return _COLLECTION.fullmatch(name) is not None


def check_path(path: str) -> str:
    """A path that stays beneath the directory it is restored to; raises InvalidArgument for any other."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path or len(path.encode()) > 4096:
        raise InvalidArgument(f"{path!r} is not a relative path of plain names")
    return path
