"""Removing backups, and the files that nothing needs any more (`proto/backup.md`).

    delete metas ─► revoke claims of the dead ─► find what nothing names ─► publish it ─► look again ─► remove

What a backup names, and what one that is being made relies on, is never removed; nor is anything under a
name that is not ours. Cut short at any moment, it leaves files that the next one removes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection as CollectionOf
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from replicad.backup import names
from replicad.backup.claims import keep_highest
from replicad.backup.collections import (
    Collection,
    decode_collection,
    decode_revoked,
    encode_collection,
    encode_revoked,
)
from replicad.backup.meta import BackupMeta, PendingBackup, decode_pending
from replicad.backup.names import BackupId
from replicad.backup.shelf import read_meta
from replicad.backup.target import Target
from replicad.backup.workers import run_all
from replicad.env import Env
from replicad.errors import CorruptionError, NewerFormatError, NotFoundError, StoppedError, StoreError

_BATCH = 1000
_Claim = tuple[BackupId, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What `delete_backup`, `purge_old_backups` and `garbage_collect` removed."""

    backups: tuple[BackupId, ...]
    files: int
    bytes: int
    claims_revoked: int
    """Backups whose makers were taken for dead."""
    unfinished: int
    """Leftovers of writes that were cut short."""


@dataclass(slots=True)
class _Needed:
    """What must stay."""

    names: set[str] = field(default_factory=set)
    identities: set[str] = field(default_factory=set)
    ids: set[BackupId] = field(default_factory=set)
    attachments: bool = False

    def add_meta(self, meta: BackupMeta) -> None:
        self.names |= meta.names

    def add_claim(self, pending: PendingBackup) -> None:
        self.ids.add(pending.id)
        self.identities |= {identity for name in pending.names if (identity := names.identity_of(name))}
        self.attachments = self.attachments or pending.all_attachments

    def holds(self, name: str) -> bool:
        """Also for what is not ours, which nobody here removes."""
        if name in self.names:
            return True
        if name.startswith(names.PRIVATE):
            id = names.id_of_private(name)
            return id is None or id in self.ids
        identity = names.identity_of(name)
        if identity is None or identity in self.identities:
            return True
        return self.attachments and name.startswith(names.ATTACHMENTS)


class Collector:
    """One removal, from its first look to its last."""

    def __init__(self, env: Env, target: Target, *, grace_seconds: float, workers: int) -> None:
        self._env = env
        self._target = target
        self._grace_us = int(grace_seconds * 1_000_000)
        self._workers = workers
        self._metas: dict[BackupId, BackupMeta] = {}
        self._revoked_count = 0

    def run(self, delete: CollectionOf[BackupId] = ()) -> Collected:
        """Raises CorruptionError or NewerFormatError, before anything is removed, when the meta of a backup
        that stays cannot be read: nobody knows which files it needs."""
        target = self._target
        listed = target.list(names.META)
        self._read_metas(listed, without=delete)
        self._delete_metas(listed, delete)
        self._revoke_dead(target.list(names.META))
        files = self._all_files()
        listed = target.list(names.META)
        needed = self._needed(listed, files)
        garbage = {name: size for name, size in files.items() if not needed.holds(name)}
        removed = self._remove(garbage, listed)
        self._forget_dead(target.list(names.META))
        return Collected(
            backups=tuple(sorted(delete)),
            files=len(removed),
            bytes=sum(removed.values()),
            claims_revoked=self._revoked_count,
            unfinished=target.remove_unfinished(self._env.clock.wall_us() - self._grace_us),
        )

    def _read_metas(self, listed: Iterable[str], without: CollectionOf[BackupId] = ()) -> None:
        damaged: dict[BackupId, StoreError] = {}

        def read(id: BackupId) -> None:
            with contextlib.suppress(NotFoundError):  # It was deleted meanwhile.
                try:
                    self._metas[id] = read_meta(self._target, id)
                except (CorruptionError, NewerFormatError) as error:
                    damaged[id] = error

        ids = {id for name in listed if (id := names.id_of_meta(name)) is not None}
        unread = sorted(ids - self._metas.keys() - set(without))
        run_all(self._env, self._workers, [lambda id=id: read(id) for id in unread])  # type: ignore[misc]
        if damaged:
            unreadable = " ".join(map(str, sorted(damaged)))
            error = damaged[min(damaged)]
            error.add_note(
                "nobody knows which files a backup needs that cannot be read; delete it too: "
                f"replicad backup delete {self._target.url} {unreadable}"
            )
            raise error

    def _delete_metas(self, listed: Iterable[str], delete: CollectionOf[BackupId]) -> None:
        if not delete:
            return
        keep_highest(self._target, listed)
        self._target.delete([names.meta_name(id) for id in sorted(delete)])
        left = [name for name in listed if (claim := names.claim_of_pending(name)) and claim[0] in delete]
        self._target.delete(left)

    # The dead

    def _revoke_dead(self, listed: Iterable[str]) -> None:
        listed = set(listed)
        now = self._env.clock.wall_us()
        for name in sorted(listed):
            claim = names.claim_of_pending(name)
            if claim is None or names.revoked_name(*claim) in listed:
                continue
            if names.meta_name(claim[0]) in listed:
                self._target.delete([name])  # It is published, and needs no claim.
                continue
            pending = self._pending(name)
            if pending is not None and pending.seen_us + self._grace_us <= now:
                self._target.write(names.revoked_name(*claim), [encode_revoked(now)])
                self._revoked_count += 1

    def _forget_dead(self, listed: Iterable[str]) -> None:
        """A revocation stays for a grace age, because its maker may only have slept."""
        listed = set(listed)
        now = self._env.clock.wall_us()
        for name in sorted(listed):
            claim = names.claim_of_revoked(name)
            if claim is not None and names.meta_name(claim[0]) not in listed:
                if self._revoked_us(name) + self._grace_us <= now:
                    keep_highest(self._target, listed)
                    self._target.delete([names.pending_name(*claim)])
                    self._target.delete([name])
            elif names.is_collection(name) and self._is_old(name, now):
                self._target.delete([name])

    def _revoked_us(self, name: str) -> int:
        try:
            return decode_revoked(self._target.read(name))
        except NotFoundError:
            return 0

    def _is_old(self, name: str, now: int) -> bool:
        try:
            return decode_collection(self._target.read(name)).started_us + self._grace_us <= now
        except NotFoundError:
            return False

    def _pending(self, name: str) -> PendingBackup | None:
        try:
            return decode_pending(self._target.read(name))
        except NotFoundError:
            return None
        except CorruptionError as error:
            raise error.located(f"{self._target.url}/{name}") from None

    # What is needed

    def _all_files(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for prefix in (names.SHARED, names.ATTACHMENTS, names.PRIVATE):
            found |= self._target.list(prefix)
        return found

    def _needed(self, listed: Iterable[str], files: dict[str, int]) -> _Needed:
        listed = set(listed)
        needed = _Needed()
        self._judge_revoked(listed, files)
        self._read_metas(listed)
        for name in listed:
            id = names.id_of_meta(name)
            claim = names.claim_of_pending(name)
            if id is not None and id in self._metas:
                needed.add_meta(self._metas[id])
            elif claim is not None and names.revoked_name(*claim) not in listed:
                pending = self._pending(name)
                if pending is not None:
                    needed.add_claim(pending)
        return needed

    def _judge_revoked(self, listed: set[str], files: dict[str, int]) -> None:
        """A backup that was published and revoked at once counts if it is whole, and goes if it is not."""
        for name in sorted(listed):
            claim = names.claim_of_revoked(name)
            if claim is None or names.meta_name(claim[0]) not in listed:
                continue
            self._read_metas([names.meta_name(claim[0])])
            meta = self._metas.get(claim[0])
            if meta is None or any(files.get(file.name) != file.size_bytes for file in meta.files):
                keep_highest(self._target, listed)
                self._target.delete([names.meta_name(claim[0])])
                listed.discard(names.meta_name(claim[0]))
            else:
                self._target.delete([names.pending_name(*claim)])
                self._target.delete([name])
                listed.discard(name)

    # Removing

    def _remove(self, garbage: dict[str, int], seen: Iterable[str]) -> dict[str, int]:
        if not garbage:
            return {}
        collection = names.collection_name(self._env.random.bytes(8).hex())
        content = Collection(started_us=self._env.clock.wall_us(), names=tuple(sorted(garbage)))
        self._target.write(collection, [encode_collection(content)])
        try:
            since = _Needed()
            fresh = set(self._target.list(names.META)) - set(seen)
            self._read_metas(fresh)
            for name in fresh:
                id = names.id_of_meta(name)
                pending = self._pending(name) if names.claim_of_pending(name) else None
                if id is not None and id in self._metas:
                    since.add_meta(self._metas[id])
                elif pending is not None:
                    since.add_claim(pending)
            doomed = {name: size for name, size in garbage.items() if not since.holds(name)}
            waiting = iter(sorted(doomed))
            while batch := list(islice(waiting, _BATCH)):
                if self._target.size(collection) is None:
                    raise StoppedError("this collection of garbage slept so long that another one forgot it")
                self._target.delete(batch)
        finally:
            self._target.delete([collection])
        return doomed
