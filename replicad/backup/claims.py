"""Ids, and what says that one of them is being made.

    claimed ──► published (its meta is there: it is a backup)
       │
       ├──► withdrawn (its maker gave up)
       └──► revoked (a collection took its maker for dead) ──► withdrawn

Whoever makes a backup first publishes a pending meta that names every shared file it relies on, and then
looks what is there; whoever removes files first publishes which, and then looks who needs them. So one of
the two sees the other, however long either pauses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from replicad.backup import names
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
        """Says that its maker is alive; raises what `check` raises."""
        self.check()
        self._pending = replace(self._pending, seen_us=self._env.clock.wall_us())
        self._target.write(names.pending_name(self.id, self.owner), [encode_pending(self._pending)])

    def check(self) -> None:
        """Before it is published: raises StoppedError when a collection gave it up, and so may have removed
        what it needs."""
        there = self._target.list(names.META)
        self._check_not_revoked(there)
        if names.pending_name(self.id, self.owner) not in there:
            raise self._given_up()

    def safely_published(self) -> bool:
        """After it was published: False when the claim is gone, so its files have to be looked for again.

        A claim that a published backup needs no more is removed by any collection, and one that was revoked
        is forgotten in the end; both look alike. Raises StoppedError when it is revoked now.
        """
        there = self._target.list(names.META)
        self._check_not_revoked(there)
        deleted = names.meta_name(self.id) not in there
        return deleted or names.pending_name(self.id, self.owner) in there

    def _check_not_revoked(self, there: Iterable[str]) -> None:
        if names.revoked_name(self.id, self.owner) in there:
            raise self._given_up()

    def _given_up(self) -> StoppedError:
        return StoppedError(
            f"backup {self.id} was given up by a collection of garbage: nothing was heard of it for longer "
            "than that one's grace_seconds"
        )

    def release(self) -> None:
        """The backup is published."""
        self._target.delete([names.pending_name(self.id, self.owner)])

    def withdraw(self) -> None:
        """Removes what there is of the backup, and gives up its id."""
        self._target.delete([names.meta_name(self.id)])
        self._target.delete(self._target.list(f"{names.PRIVATE}{self.id}/"))
        keep_highest(self._target, self._target.list(names.META))
        self.release()


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
    raise StoreError(f"{target.url}: no id could be had; too many backups begin at once")


def highest_id(listed: Iterable[str]) -> BackupId:
    """The highest id in names under `meta/`, of whatever became of it; 0 when there is none."""
    highest = BackupId(0)
    for name in listed:
        pending = names.claim_of_pending(name) or names.claim_of_revoked(name)
        id = pending[0] if pending else names.id_of_meta(name) or names.id_of_last(name)
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
