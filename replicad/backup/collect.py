"""Removing backups, and the files that nothing needs any more (`proto/backup.md`).

    delete metas ─► revoke claims of the dead ─► find what nothing names ─► publish it ─► look again ─► remove

What a backup names, and what one that is being made relies on, is never removed; nor is anything under a
name that is not ours. Cut short at any moment, it leaves files that the next one removes.

No clock and no pause of anybody makes a removal wrong. A maker that seems dead, by the target's clock, may
only sleep: a revocation is for good, and a maker that wakes finds it. What a removal published may be removed
at any later moment: its document stays until it is done or, when its remover died, until none of those files
is there, and no file is ever written under a name that another one had.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection as CollectionOf
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from replicad.backup import names
from replicad.backup.backup_list import is_revoked, read_meta
from replicad.backup.claims import keep_highest
from replicad.backup.collections import (
    Collection,
    encode_collection,
    encode_doubted,
    encode_revoked,
    read_collection,
)
from replicad.backup.meta import BackupMeta, PendingBackup, decode_pending
from replicad.backup.names import BackupId
from replicad.backup.target import Target, ages_seconds
from replicad.backup.workers import run_all
from replicad.env import Env
from replicad.errors import CorruptionError, NewerFormatError, NotFoundError, StoreError

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
        self._grace_seconds = grace_seconds
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

        # Claims of the dead are revoked before it is decided what is needed, because a claim keeps its files.
        self._revoke_dead(target.list(names.META))

        # Files are listed before documents: a backup that is published between the two listings is seen with
        # its files.
        files = self._all_files()
        listed = target.list(names.META)
        needed = self._needed(listed)
        garbage = {name: size for name, size in files.items() if not needed.holds(name)}

        removed = self._remove(garbage, listed)
        self._forget_done(target.list(names.META))

        return Collected(
            backups=tuple(sorted(delete)),
            files=len(removed),
            bytes=sum(removed.values()),
            claims_revoked=self._revoked_count,
            unfinished=target.remove_unfinished(self._grace_seconds),
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
        claims = {claim: name for name in listed if (claim := names.claim_of_pending(name))}
        revoked = {claim for name in listed if (claim := names.claim_of_revoked(name))}
        waiting = []
        for claim, name in sorted(claims.items()):
            if claim in revoked or names.meta_name(claim[0]) in listed:
                self._target.delete([name])  # It is over, or published, and needs no claim.
            else:
                waiting.append(claim)
        ages = {} if self._at_once else ages_seconds(self._target, [claims[claim] for claim in waiting])
        for claim in waiting:
            if self._at_once or ages.get(claims[claim], 0.0) >= self._grace_seconds:
                self._revoke(claim)

    def _revoke(self, claim: _Claim) -> None:
        """Doubts first, and then looks: a maker that publishes meanwhile sees the doubt, or is seen."""
        now_us = self._env.clock.wall_us()
        doubt = names.doubted_name(*claim, self._env.random.bytes(8).hex())
        self._target.write(doubt, [encode_doubted(now_us)])
        if names.meta_name(claim[0]) not in self._target.list(names.META):
            self._target.write(names.revoked_name(*claim), [encode_revoked(now_us)])
            self._target.delete([names.pending_name(*claim)])
            self._revoked_count += 1
        self._target.delete([doubt])

    @property
    def _at_once(self) -> bool:
        """The caller knows that no backup is being made."""
        return self._grace_seconds == 0

    def _forget_done(self, listed: Iterable[str]) -> None:
        """Removals whose every file is gone, and doubts that came to nothing.

        Revocations stay, because nobody knows when their makers wake, unless the caller knows that there are
        no such makers.
        """
        listed = set(listed)
        removals = {name: read_collection(self._target, name) for name in listed if names.is_collection(name)}
        there = self._all_files() if removals else {}
        for name, content in removals.items():
            if content is not None and not any(doomed in there for doomed in content.names):
                self._target.delete([name])
        if self._at_once:
            keep_highest(self._target, listed)
            over = {claim for name in listed if (claim := names.claim_of_revoked(name))}
            self._target.delete([names.pending_name(*claim) for claim in sorted(over)])
            self._target.delete([name for name in sorted(listed) if names.claim_of_doubted(name)])
            self._target.delete([names.revoked_name(*claim) for claim in sorted(over)])

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

    def _needed(self, listed: Iterable[str]) -> _Needed:
        listed = set(listed)
        needed = _Needed()

        # The meta of a revoked claim is not a backup, however late it was published, and must not keep files.
        revoked = {claim for name in listed if (claim := names.claim_of_revoked(name))}
        self._delete_revoked(listed, revoked)
        self._read_metas(listed)

        for name in listed:
            id = names.id_of_meta(name)
            claim = names.claim_of_pending(name)
            if id is not None and id in self._metas:
                needed.add_meta(self._metas[id])
            elif claim is not None and claim not in revoked:
                pending = self._pending(name)
                if pending is not None:
                    needed.add_claim(pending)
        return needed

    def _delete_revoked(self, listed: set[str], revoked: set[_Claim]) -> None:
        """What was revoked is not a backup, even if its maker published it later and died before looking."""
        late = {
            name
            for id in {id for id, _ in revoked}
            if (name := names.meta_name(id)) in listed
            and is_revoked(self._target, id, {owner for other, owner in revoked if other == id})
        }
        if late:
            keep_highest(self._target, listed)
            self._target.delete(sorted(late))
            listed -= late

    # Removing

    def _remove(self, garbage: dict[str, int], seen: Iterable[str]) -> dict[str, int]:
        if not garbage:
            return {}
        collection = names.collection_name(self._env.random.bytes(8).hex())
        content = Collection(started_us=self._env.clock.wall_us(), names=tuple(sorted(garbage)))
        self._target.write(collection, [encode_collection(content)])
        since = _Needed()
        while self._look_again(set(seen), since):
            pass
        doomed = {name: size for name, size in garbage.items() if not since.holds(name)}
        waiting = iter(sorted(doomed))
        while batch := list(islice(waiting, _BATCH)):
            self._target.delete(batch)
        # Only now, and not when something was raised: a request that failed here may still arrive there.
        self._target.delete([collection])
        return doomed

    def _look_again(self, seen: set[str], since: _Needed) -> bool:
        """Adds what new documents need to `since`. Whether that has to be done once more: a claim that is
        gone when it is read may have become a backup after the listing."""
        fresh = set(self._target.list(names.META)) - seen
        self._read_metas(fresh)
        vanished = False
        for name in fresh:
            id = names.id_of_meta(name)
            if id is not None and id in self._metas:
                since.add_meta(self._metas[id])
            elif names.claim_of_pending(name):
                pending = self._pending(name)
                if pending is None:
                    vanished = True
                else:
                    since.add_claim(pending)
        return vanished
