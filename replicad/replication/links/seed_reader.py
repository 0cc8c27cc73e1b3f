"""All that a source holds of what a link carries, at one sequence number, in parts. For a worker thread."""

from __future__ import annotations

from collections.abc import Iterator

from replicad.replication.links.link_filter import KeyBounds, LinkFilter
from replicad.replication.links.merge import UNSTAMPED, LinkBroken, LinkOperation
from replicad.replication.links.records import (
    HORIZON_KEY,
    LINKED_KEY_BYTES_MAX,
    ORIGINS,
    STAMPS,
    OriginRecord,
    decode_horizon,
    decode_key_stamp,
    decode_origin,
    split_stamp_key,
    stamp_key,
)
from replicad.store.database import Database
from replicad.store.reading import Snapshot

OPERATION_BYTES = 64
"""About what each takes besides its key and value."""


def origins_at(store: Database, snapshot: Snapshot) -> dict[bytes, OriginRecord]:
    family = store.families[ORIGINS]
    return {key: decode_origin(value) for key, value in store.scan(snapshot=snapshot, family=family)}


def horizon_at(store: Database, snapshot: Snapshot) -> int:
    return decode_horizon(store.get(HORIZON_KEY, snapshot=snapshot, family=store.families[STAMPS]))


def held_in(
    store: Database, snapshot: Snapshot, name: str, chosen: LinkFilter, after: bytes | None
) -> Iterator[LinkOperation]:
    """All keys of a family that are carried and come after one, in order: values with their stamps, and
    stamps of deleted keys. Raises LinkBroken for a key that is too long for a link."""
    family = store.families[name]
    for keys in chosen.key_ranges(after):
        for operation in _held_between(store, snapshot, name, family, keys):
            if len(operation.key) > LINKED_KEY_BYTES_MAX:
                raise LinkBroken(
                    f"family {name} has a key of {len(operation.key)} bytes: {LINKED_KEY_BYTES_MAX} are the "
                    "most in a link"
                )
            yield operation


def _held_between(
    store: Database, snapshot: Snapshot, name: str, family: int, keys: KeyBounds
) -> Iterator[LinkOperation]:
    values = store.scan(keys.start, keys.end, snapshot=snapshot, family=family)
    end = stamp_key(family + 1, b"") if keys.end is None else stamp_key(family, keys.end)
    stamps = store.scan(stamp_key(family, keys.start), end, snapshot=snapshot, family=store.families[STAMPS])
    stamped = ((split_stamp_key(key)[1], decode_key_stamp(value)) for key, value in stamps)

    value, stamp = next(values, None), next(stamped, None)
    while value is not None or stamp is not None:
        key = min(each[0] for each in (value, stamp) if each is not None)
        here = value[1] if value is not None and value[0] == key else None
        its_stamp = stamp[1].stamp if stamp is not None and stamp[0] == key else UNSTAMPED
        if value is not None and value[0] == key:
            value = next(values, None)
        if stamp is not None and stamp[0] == key:
            stamp = next(stamped, None)
        yield LinkOperation(name, key, here, its_stamp)


def take_part(held: Iterator[LinkOperation], size_bytes: int) -> list[LinkOperation]:
    """The next of them, until they are that large. Empty at the end."""
    part: list[LinkOperation] = []
    for operation in held:
        part.append(operation)
        size_bytes -= len(operation.key) + len(operation.value or b"") + OPERATION_BYTES
        if size_bytes <= 0:
            break
    return part
