"""The body of a batch: proto/batch.md."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.oracle.varint import Malformed, Reader, encode

PUT, DELETE, LOG_DATA, CREATE_FAMILY, DROP_FAMILY, EPOCH, MARK = range(1, 8)

KEY_MAX, VALUE_MAX, ANNOTATION_MAX, BODY_MAX = 2**16, 2**26, 2**20, 2**27

Record = tuple[int, int, bytes, bytes | None]
"""(kind, family, key, value), as replicad.types.Operation lays it out."""


def _sized(data: bytes) -> bytes:
    return encode(len(data)) + data


def encode_record(record: Record) -> bytes:
    kind, family, key, value = record
    tag = bytes([kind])
    if kind == PUT:
        return tag + encode(family) + _sized(key) + _sized(value or b"")
    if kind in (DELETE, CREATE_FAMILY):
        return tag + encode(family) + _sized(key)
    if kind == DROP_FAMILY:
        return tag + encode(family)
    return tag + _sized(value or b"")


def encode_body(records: Iterable[Record]) -> bytes:
    return b"".join(encode_record(record) for record in records)


def decode_body(body: bytes) -> list[Record]:
    """The records of `body`; Malformed when it is none."""
    if len(body) > BODY_MAX:
        raise Malformed("body over its limit")
    reader = Reader(body)
    records: list[Record] = []
    while reader:
        kind = reader.take(1)[0]
        if kind == PUT:
            records.append((kind, reader.varint(32), reader.sized(KEY_MAX), reader.sized(VALUE_MAX)))
        elif kind in (DELETE, CREATE_FAMILY):
            records.append((kind, reader.varint(32), reader.sized(KEY_MAX), None))
        elif kind == DROP_FAMILY:
            records.append((kind, reader.varint(32), b"", None))
        elif kind in (LOG_DATA, MARK):
            records.append((kind, 0, b"", reader.sized(ANNOTATION_MAX)))
        elif kind == EPOCH:
            record = reader.sized(40)
            if len(record) != 40:
                raise Malformed("epoch record of another length")
            records.append((kind, 0, b"", record))
        else:
            raise Malformed(f"unknown tag {kind}")
    return records


def count_operations(records: Iterable[Record]) -> int:
    return sum(record[0] != LOG_DATA for record in records)
