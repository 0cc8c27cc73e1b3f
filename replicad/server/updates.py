"""The log as REPLICAD.FRAMES sends it, frames as they are in the file, and as REPLICAD.UPDATES sends it: one
array for each batch.

    [first sequence number, last sequence number, epoch, commit time (us), history hash (hex),
     [[kind, family, key, value], ...]]

`kind` is the tag of `proto/batch.md`; keys and values are the raw bytes. Runs in a thread.
"""

from __future__ import annotations

from contextlib import closing

from replicad import kernels
from replicad.errors import BatchTooLargeError
from replicad.server import replies
from replicad.store.database import Database
from replicad.store.updates import Update

UPDATES_MAX = 10_000
OPERATIONS_BYTES_MAX = 256 << 20
"""Of one batch: twice what a batch may have, for operations of many small keys."""
_REPLY_BYTES_MAX = 16 << 20
FRAMES_BYTES_MAX = 4 << 20


def read_updates(store: Database, since: int, count: int, protocol: int, bytes_max: int) -> list[bytes]:
    """Up to `count` encoded updates from the batch that holds `since`; fewer when they are large.

    Empty when nothing durable follows yet. Raises LogGoneError, and BatchTooLargeError for a
    batch whose operations take more than `bytes_max` in a reply.
    """
    found: list[bytes] = []
    size = 0
    if since > store.durable_sequence:
        return found
    with closing(store.get_updates_since(max(1, since))) as updates:
        for update in updates:
            found.append(_encode(update, protocol, bytes_max))
            size += len(found[-1])
            if len(found) >= min(count, UPDATES_MAX) or size > _REPLY_BYTES_MAX:
                break
    return found


def read_frames(store: Database, since: int, bytes_max: int) -> bytes:
    """Whole durable frames of one segment, from the one that holds `since` on: about `bytes_max` bytes, and
    one frame at least. Empty when nothing durable follows yet. Raises LogGoneError."""
    if since > store.durable_sequence:
        return b""
    with closing(store.read_log(max(1, since))) as cursor:
        chunk = cursor.next(min(bytes_max, FRAMES_BYTES_MAX))
    return b"" if chunk is None else chunk.frames


def _encode(update: Update, protocol: int, bytes_max: int) -> bytes:
    """What the reply becomes is counted before any of it is made: operations of a few bytes become ten
    times as many as Python objects."""
    position = update.position
    null = replies.nil(protocol)
    operations = kernels.encode_operations(update.batch.data, min(bytes_max, OPERATIONS_BYTES_MAX), null)
    if operations is None:
        raise BatchTooLargeError(
            f"the batch at {position.sequence} is too large for a reply: `replicad updates DIRECTORY` has it"
        )
    head: list[replies.Value] = [
        update.first_sequence,
        position.sequence,
        position.epoch,
        update.commit_time,
        f"{position.history_hash:016x}",
    ]
    return b"*6\r\n" + b"".join([replies.encode(each, protocol) for each in head]) + operations
