"""The log as REPLICAD.UPDATES sends it: one array for each batch.

    [first sequence number, last sequence number, epoch, commit time (us), history hash (hex),
     [[kind, family, key, value], ...]]

`kind` is the tag of `proto/batch.md`; keys and values are the raw bytes. Runs in a thread.
"""

from __future__ import annotations

from contextlib import closing

from replicad.server import replies
from replicad.server.interfaces import Store, Update

UPDATES_MAX = 10_000
_REPLY_BYTES_MAX = 16 << 20


def read_updates(store: Store, since: int, count: int, protocol: int) -> list[bytes]:
    """Up to `count` encoded updates from the batch that holds `since`; fewer when they are large.

    Empty when nothing durable follows yet. Raises LogGoneError.
    """
    found: list[bytes] = []
    size = 0
    if since > store.durable_sequence:
        return found
    with closing(store.get_updates_since(max(1, since))) as updates:
        for update in updates:
            found.append(_encode(update, protocol))
            size += len(found[-1])
            if len(found) >= min(count, UPDATES_MAX) or size > _REPLY_BYTES_MAX:
                break
    return found


def _encode(update: Update, protocol: int) -> bytes:
    position = update.position
    operations: list[replies.Value] = [
        [int(kind), family, key, value] for kind, family, key, value in update.batch.operations
    ]
    return replies.encode(
        [
            update.first_sequence,
            position.sequence,
            position.epoch,
            update.commit_time,
            f"{position.history_hash:016x}",
            operations,
        ],
        protocol,
    )
