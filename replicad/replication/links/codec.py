"""What a link carries, as msgpack (proto/link.md). A peer may lie: everything is checked as it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgpack

from replicad.errors import ProtocolError
from replicad.replication.links.annotation import Provenance
from replicad.replication.links.merge import UNSTAMPED, LinkBatch, LinkOperation
from replicad.replication.links.records import LINKED_KEY_BYTES_MAX, SYSTEM_PREFIX, OriginRecord
from replicad.replication.links.stamps import Stamp

Decoded = TypeVar("Decoded")

_ID_BYTES = 16
MEMBERS_MAX = 1024
"""Databases that are linked."""
SEQUENCE_END = 1 << 63
"""No log has a sequence number from here on."""


def encode_batches(batches: Iterable[LinkBatch]) -> bytes:
    return _pack([_batch(batch) for batch in batches])


def decode_batches(payload: bytes) -> list[LinkBatch]:
    """Raises ProtocolError, as the others do."""
    return _decoded(payload, lambda found: [_read_batch(each) for each in _list(found)])


def encode_seed(family: str, upto: bytes | None, operations: Iterable[LinkOperation]) -> bytes:
    """`upto` is the last key of the part; None: it ends the family."""
    return _pack([family, upto, [_operation(each) for each in operations]])


def decode_seed(payload: bytes) -> tuple[str, bytes | None, list[LinkOperation]]:
    def read(found: Any) -> tuple[str, bytes | None, list[LinkOperation]]:
        family, upto, operations = _list(found, 3)
        read_operations = [_read_operation(each) for each in _list(operations)]
        if any(each.family != family for each in read_operations):
            raise ProtocolError("a part of a seed has keys of another family")
        return _family(family), None if upto is None else _bytes(upto), read_operations

    return _decoded(payload, read)


def encode_origins(origins: Mapping[bytes, OriginRecord]) -> bytes:
    return _pack([[origin, *record] for origin, record in origins.items()])


def decode_origins(payload: bytes) -> dict[bytes, OriginRecord]:
    def read(value: Any) -> dict[bytes, OriginRecord]:
        rows = [_list(row, 5) for row in _list(value)]
        if len(rows) > MEMBERS_MAX:
            raise ProtocolError(f"what the link carries has {len(rows)} origins: {MEMBERS_MAX} are the most")
        found = {_id(row[0]): OriginRecord(*map(_number, row[1:])) for row in rows}
        if any(record.epoch >= 1 << 32 or record.sequence >= SEQUENCE_END for record in found.values()):
            raise ProtocolError("what the link carries has a place in a log that there cannot be")
        return found

    return _decoded(payload, read)


def _batch(batch: LinkBatch) -> list[Any]:
    came = batch.provenance
    place = [
        came.origin,
        came.peer,
        came.epoch,
        came.fork,
        came.first,
        came.last,
        came.frontier_us,
        came.hops,
    ]
    operations = [_operation(each) for each in batch.operations]
    return [place, operations, list(batch.annotations), list(batch.members), batch.seen_us]


def _read_batch(found: Any) -> LinkBatch:
    place, operations, annotations, members, seen_us = _list(found, 5)
    if len(_list(members)) > MEMBERS_MAX:
        raise ProtocolError(f"a linked batch with {len(members)} members: {MEMBERS_MAX} are the most")
    origin, peer, *numbers = _list(place, 8)
    epoch, fork, first, last, frontier_us, hops = map(_number, numbers)
    if not 0 < first <= last < SEQUENCE_END or epoch >= 1 << 32 or hops >= 1 << 8 or fork >= SEQUENCE_END:
        raise ProtocolError(f"a linked batch from {first} through {last}")
    return LinkBatch(
        provenance=Provenance(
            origin=_id(origin),
            peer=_id(peer),
            epoch=epoch,
            fork=fork,
            first=first,
            last=last,
            frontier_us=frontier_us,
            hops=hops,
        ),
        operations=tuple(map(_read_operation, _list(operations))),
        annotations=tuple(map(_bytes, _list(annotations))),
        members=tuple(map(_id, _list(members))),
        seen_us=_number(seen_us),
    )


def _operation(operation: LinkOperation) -> list[Any]:
    stamp = [] if operation.stamp == UNSTAMPED else [*operation.stamp]
    return [operation.family, operation.key, operation.value, *stamp]


def _read_operation(found: Any) -> LinkOperation:
    family, key, value, *stamp = _list(found)
    if len(stamp) not in (0, 2):
        raise ProtocolError(f"a linked operation with {len(found)} fields")
    if len(_bytes(key)) > LINKED_KEY_BYTES_MAX:
        raise ProtocolError(f"a linked key of {len(key)} bytes")
    return LinkOperation(
        _family(family),
        key,
        None if value is None else _bytes(value),
        Stamp(_number(stamp[0]), _id(stamp[1])) if stamp else UNSTAMPED,
    )


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def _decoded(payload: bytes, read: Callable[[Any], Decoded]) -> Decoded:
    try:
        # No array and no string can be longer than the payload, whatever a length in it says.
        found = msgpack.unpackb(
            payload,
            raw=False,
            strict_map_key=True,
            max_array_len=len(payload),
            max_bin_len=len(payload),
            max_str_len=len(payload),
        )
        return read(found)
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolError(f"what the link carries cannot be read: {error}") from None


def _list(found: Any, length: int | None = None) -> list[Any]:
    if type(found) is not list or (length is not None and len(found) != length):
        raise ProtocolError(f"what the link carries has {type(found).__name__} in the place of a list")
    return found


def _bytes(found: Any) -> bytes:
    if type(found) is not bytes:
        raise ProtocolError(f"what the link carries has {type(found).__name__} in the place of bytes")
    return found


def _id(found: Any) -> bytes:
    if len(_bytes(found)) != _ID_BYTES:
        raise ProtocolError(f"what the link carries has an id of {len(found)} bytes")
    return found  # type: ignore[no-any-return]


def _number(found: Any) -> int:
    if type(found) is not int or not 0 <= found < 1 << 64:
        raise ProtocolError(f"what the link carries has {found!r:.40} in the place of a number")
    return found


def _family(found: Any) -> str:
    if type(found) is not str or not found or found.startswith(SYSTEM_PREFIX):
        raise ProtocolError(f"what the link carries has {found!r:.40} in the place of a family")
    return found
