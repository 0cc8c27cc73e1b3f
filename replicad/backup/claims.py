"""Ids, and what says that one of them is being made.

    claimed ──► published (its meta is there: it is a backup)
       │
       ├──► withdrawn (its maker gave up)
       └──► doubted ──► revoked (a collection took its maker for dead)

A maker of a backup first publishes a pending meta that names every shared file it relies on, and then looks
what is there; a removal first publishes which files it removes, and then looks who needs them. So one of the
two sees the other, however long either pauses. It is the same with a claim whose maker seems dead: the
collection first publishes its doubt, and then looks whether the backup is published; the maker first
publishes, and then looks whether it is doubted. A revocation is for good: what was revoked is never a backup,
whenever its maker wakes, so nobody has to know how long that may take.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from replicad.backup import names
from replicad.backup.collections import encode_revoked
from replicad.backup.meta import PendingBackup, encode_pending
from replicad.backup.names import BackupId
from replicad.backup.target import Target
from replicad.env import Env
from replicad.errors import StoppedError, StoreError

_ATTEMPTS = 100


class Claim:
    """An id that nobody else has. Owned by one thread."""

    def __init__(self, env: Env, target: Target, pending: PendingBackup, listed: Iterable[str]) -> None:
        self._env = env
        self._target = target
        self._pending = pending
        self.seen_then = tuple(listed)
        """Names under `meta/` after the claim was published."""

    @property
    def id(self) -> BackupId:
        return self._pending.id

    @property
    def owner(self) -> str:
        return self._pending.owner

    def renew(self) -> None:
        """Says that its maker is alive; raises what `check` raises. Its age is what counts, by the target's
        clock; `seen_us` is for people."""
        self.check()
        self._pending = replace(self._pending, seen_us=self._env.clock.wall_us())
        self._target.write(names.pending_name(self.id, self.owner), [encode_pending(self._pending)])

    def check(self) -> None:
        """Before it is published: raises StoppedError when a collection gave it up, and so may have removed
        what it needs."""
        there = self._target.list(names.META)
        self._check_not_given_up(there)
        if names.pending_name(self.id, self.owner) not in there:
            raise self._given_up()

    def safely_published(self) -> bool:
        """After it was published: False when the claim is gone, so its files have to be looked for again.

        A claim that a published backup needs no more is removed by any collection, and somebody who knew that
        no backup is being made may have removed it together with its revocation; both look alike. Raises
        StoppedError when it is doubted or revoked now: that came first, and its doubter does not look again.
        """
        # Twice, because a listing takes time: a doubt goes only after the revocation is there, so a maker
        # that misses both in one listing finds the revocation in the next.
        for _ in range(2):
            there = self._target.list(names.META)
            self._check_not_given_up(there)
        deleted = names.meta_name(self.id) not in there
        return deleted or names.pending_name(self.id, self.owner) in there

    def _check_not_given_up(self, there: Iterable[str]) -> None:
        if self._giving_up(there):
            raise self._given_up()

    def _giving_up(self, there: Iterable[str]) -> list[str]:
        """The names that say that it was given up."""
        claims = {name: names.claim_of_revoked(name) or names.claim_of_doubted(name) for name in there}
        return [name for name, claim in claims.items() if claim == (self.id, self.owner)]

    def _given_up(self) -> StoppedError:
        return StoppedError(
            f"backup {self.id} was given up by a collection of garbage: nothing was heard of it for longer "
            "than that one's grace_seconds; make it again, what was copied is used"
        )

    def release(self) -> None:
        """The backup is published."""
        self._target.delete([names.pending_name(self.id, self.owner)])

    def withdraw(self, *, was_publishing: bool = False) -> None:
        """Removes what there is of the backup, and gives up its id.

        Where publishing it raised, the request may still arrive, however late: then it is revoked for good.
        """
        if was_publishing:
            revoked = encode_revoked(self._env.clock.wall_us())
            self._target.write(names.revoked_name(self.id, self.owner), [revoked])
        self._target.delete([names.meta_name(self.id)])
        self._target.delete(self._target.list(f"{names.PRIVATE}{self.id}/"))
        listed = self._target.list(names.META)
        keep_highest(self._target, listed)
        self.release()
        if not was_publishing:
            self._target.delete(self._giving_up(listed))  # It was heard, so nobody has to keep saying it.


def claim(env: Env, target: Target, relied_on: Iterable[str], *, all_attachments: bool) -> Claim:
    """A new id, higher than any that was ever used."""
    owner = env.random.bytes(8).hex()
    needed = tuple(relied_on)
    highest = highest_id(target.list(names.META))
    for attempt in range(_ATTEMPTS):
        id = BackupId(highest + 1 + int(env.random.uniform(0, 2 * attempt)))
        pending = PendingBackup(
            id=id,
            owner=owner,
            seen_us=env.clock.wall_us(),
            names=needed,
            all_attachments=all_attachments,
        )
        try:
            target.write(names.pending_name(id, owner), [encode_pending(pending)])
            listed = target.list(names.META)
        except BaseException:
            with contextlib.suppress(Exception):
                target.delete([names.pending_name(id, owner)])
            raise
        others = [name for name in listed if name != names.pending_name(id, owner)]
        if highest_id(others) < id:
            return Claim(env, target, pending, listed)
        # Somebody else took it, or a higher one, meanwhile; both step back, and not by the same number.
        target.delete([names.pending_name(id, owner)])
        highest = highest_id(listed)
    raise StoreError(f"{target.url}: no free id was found: too many backups begin at once")


def highest_id(listed: Iterable[str]) -> BackupId:
    """The highest id in names under `meta/`, whatever became of its backup; 0 when there is no id."""
    highest = BackupId(0)
    for name in listed:
        claimed = names.claim_of_pending(name) or names.claim_of_revoked(name) or names.claim_of_doubted(name)
        id = claimed[0] if claimed else names.id_of_meta(name) or names.id_of_last(name)
        highest = max(highest, id or highest)
    return highest


def keep_highest(target: Target, listed: Iterable[str]) -> None:
    """Before a name with an id goes: it is never used again, so no removal of its files meets new ones."""
    listed = list(listed)
    markers = [name for name in listed if names.id_of_last(name)]
    highest = highest_id(listed)
    if highest_id(markers) < highest:
        target.write(names.last_name(highest), [])
        target.delete(markers)
