"""Which backups there are at a target: quickly, with as few requests as can be, or surely, by their metas."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Container, Iterable
from dataclasses import dataclass

from replicad.backup import names
from replicad.backup.catalog import Catalog, ReadMeta, decode_catalog, encode_catalog, infos, merged
from replicad.backup.info import BackupInfo
from replicad.backup.meta import BackupMeta, decode_meta
from replicad.backup.names import BackupId
from replicad.backup.target import Target
from replicad.backup.workers import run_all
from replicad.env import Env
from replicad.errors import CorruptionError, NewerFormatError, NotFoundError, StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupList:
    """What a listing showed. `damaged`: backups whose meta cannot be read, and why."""

    infos: tuple[BackupInfo, ...]
    damaged: dict[BackupId, StoreError]
    catalog: Catalog


def backup_ids(target: Target, listed: Iterable[str]) -> list[BackupId]:
    """Ascending. A backup that was revoked before it was published does not count."""
    listed = list(listed)
    revoked: dict[BackupId, set[str]] = {}
    for name in listed:
        if (claim := names.claim_of_revoked(name)) is not None:
            revoked.setdefault(claim[0], set()).add(claim[1])
    ids = [id for name in listed if (id := names.id_of_meta(name)) is not None]
    return sorted(id for id in ids if not is_revoked(target, id, revoked.get(id, set())))


def is_revoked(target: Target, id: BackupId, owners: Container[str]) -> bool:
    """Whether the backup of that id is one of those that these owners were making. One that cannot be read is
    there, and damaged."""
    if not owners:
        return False
    try:
        owner = read_meta(target, id).owner
    except (CorruptionError, NewerFormatError):
        return False
    except NotFoundError:
        return True
    return not owner or owner in owners


def read_shelf(env: Env, target: Target, workers: int, *, believe: bool) -> BackupList:
    """One listing, one read of the catalog, and one of each meta.

    With `believe` a meta is not read whose catalog entry has its size: quick, and blind to damage.
    """
    listed = target.list(names.META)
    ids = backup_ids(target, listed)
    old = _read_catalog(target) if names.CATALOG in listed else ()
    entries = {
        entry.info.id: entry
        for entry in old
        if entry.meta_bytes == listed.get(names.meta_name(entry.info.id))
    }
    known: set[BackupId] = set(entries) if believe else set()
    damaged: dict[BackupId, StoreError] = {}
    metas: dict[BackupId, ReadMeta] = {}

    def read(id: BackupId) -> None:
        with contextlib.suppress(NotFoundError):  # It was deleted meanwhile.
            try:
                data = _read(target, id)
                digest = hashlib.sha256(data).digest()

                # The digest is that of the entry, so parsing the meta would give what the entry says.
                if id in entries and entries[id].meta_sha256 == digest:
                    known.add(id)
                else:
                    metas[id] = ReadMeta(_decoded(target, id, data), len(data), digest)
            except (CorruptionError, NewerFormatError) as error:
                damaged[id] = error
            except OSError as error:
                if not is_bad_medium(error):
                    raise

                # A bad sector is damage to this one file. The cause is kept: for a removal it is an error of
                # the disk, because the meta itself may be whole.
                damaged[id] = CorruptionError(
                    f"the medium does not give it back: {error}",
                    path=f"{target.url}/{names.meta_name(id)}",
                    offset=0,
                )
                damaged[id].__cause__ = error

    unknown = [id for id in ids if id not in known]
    run_all(env, workers, [lambda id=id: read(id) for id in unknown])  # type: ignore[misc]
    alive = [id for id in ids if id in known or id in metas]
    catalog = merged(old, alive, metas)
    return BackupList(infos=tuple(infos(catalog)), damaged=damaged, catalog=catalog)


def is_bad_medium(error: OSError) -> bool:
    """Whether the error is one of this file and not of the way to the target."""
    return error.errno == errno.EIO


def keep_catalog(target: Target, listing: BackupList) -> None:
    """Saves the next reader some requests. When it cannot be written, that one reads the metas."""
    with contextlib.suppress(OSError, StoreError):
        target.write(names.CATALOG, [encode_catalog(listing.catalog)])


def read_meta(target: Target, id: BackupId) -> BackupMeta:
    """Raises NotFoundError, CorruptionError or NewerFormatError, which name the file."""
    return _decoded(target, id, _read(target, id))


def _read(target: Target, id: BackupId) -> bytes:
    name = names.meta_name(id)
    try:
        return target.read(name)
    except NotFoundError:
        raise NotFoundError(f"{target.url} holds no backup {id}") from None


def _decoded(target: Target, id: BackupId, data: bytes) -> BackupMeta:
    name = names.meta_name(id)
    try:
        meta = decode_meta(data)
    except CorruptionError as error:
        raise error.located(f"{target.url}/{name}") from None
    except NewerFormatError as error:
        raise NewerFormatError(f"{target.url}/{name}: {error}") from None
    if meta.id != id:
        raise CorruptionError(
            "another backup's meta", path=f"{target.url}/{name}", offset=0, expected=id, got=meta.id
        )
    return meta


def _read_catalog(target: Target) -> Catalog:
    try:
        return decode_catalog(target.read(names.CATALOG))
    except (NotFoundError, CorruptionError, NewerFormatError):
        return ()  # A cache: the metas say the same.
