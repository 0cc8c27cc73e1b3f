"""Header maps: the values that may stand in them, and their encoding under strict limits (proto/wire.md).

A header is a msgpack map from short strings to integers, byte strings, strings, nil, booleans or arrays of
these. Each function here takes the name of a key and what came under it, and returns the value as this
program uses it, or raises ProtocolError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgpack

from replicad.errors import ProtocolError
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence

LONG_KEY_BYTES_MAX = 60_000
"""A header has less than 64 KiB."""
PREFIX_BYTES_MAX = 128

Check: TypeAlias = Callable[[str, Any], Any]


def _wrong(name: str, value: object, wanted: str) -> ProtocolError:
    return ProtocolError(f"{name} is {type(value).__name__} {repr(value)[:60]}, not {wanted}")


def u64(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise _wrong(name, value, "a u64")
    return value


def u32(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise _wrong(name, value, "a u32")
    return value


def boolean(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(name, value, "a boolean")
    return value


def id16(name: str, value: Any) -> bytes:
    if type(value) is not bytes or len(value) != 16:
        raise _wrong(name, value, "16 bytes")
    return value


def sha256(name: str, value: Any) -> bytes:
    if type(value) is not bytes or len(value) != 32:
        raise _wrong(name, value, "32 bytes")
    return value


def short_bytes(name: str, value: Any) -> bytes:
    if type(value) is not bytes or len(value) > 1024:
        raise _wrong(name, value, "at most 1024 bytes")
    return value


def long_key(name: str, value: Any) -> bytes:
    if type(value) is not bytes or len(value) > LONG_KEY_BYTES_MAX:
        raise _wrong(name, value, f"at most {LONG_KEY_BYTES_MAX} bytes")
    return value


def prefix(name: str, value: Any) -> bytes:
    if type(value) is not bytes or not 0 < len(value) <= PREFIX_BYTES_MAX:
        raise _wrong(name, value, f"1 to {PREFIX_BYTES_MAX} bytes")
    return value


def text(name: str, value: Any) -> str:
    if type(value) is not str or len(value) > 1024:
        raise _wrong(name, value, "a string of at most 1024 characters")
    return value


def optional(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def array_of(check: Check, count_max: int) -> Check:
    def run(name: str, value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > count_max:
            raise _wrong(name, value, f"an array of at most {count_max}")
        return tuple(check(name, item) for item in value)

    return run


def position(name: str, value: Any) -> Position:
    if type(value) is not list or len(value) != 3:
        raise _wrong(name, value, "a position")
    return Position(
        Epoch(u32(name, value[0])), Sequence(u64(name, value[1])), HistoryHash(u64(name, value[2]))
    )


def epoch_record(name: str, value: Any) -> EpochRecord:
    if type(value) is not list or len(value) != 3:
        raise _wrong(name, value, "an epoch record")
    return EpochRecord(Epoch(u32(name, value[0])), id16(name, value[1]), position(name, value[2]))


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a copy: its index in the whole list is what FETCH names it by."""

    name: str
    size: int
    sha256: bytes


def file_entry(name: str, value: Any) -> FileEntry:
    if type(value) is not list or len(value) != 3:
        raise _wrong(name, value, "a file entry")
    return FileEntry(text(name, value[0]), u64(name, value[1]), sha256(name, value[2]))


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """A node of the database that the sender has met: its id, its two addresses, and for how long it is
    away."""

    node: bytes
    replication: str
    clients: str
    away_seconds: int


def node_entry(name: str, value: Any) -> NodeEntry:
    if type(value) is not list or len(value) != 4:
        raise _wrong(name, value, "a node entry")
    return NodeEntry(id16(name, value[0]), text(name, value[1]), text(name, value[2]), u32(name, value[3]))


def encode_header(values: dict[str, Any]) -> bytes:
    data: bytes = msgpack.packb(values, default=_plain)
    return data


def decode_header(data: bytes) -> dict[str, Any]:
    """The header map under its limits."""
    arrays_left = 64 + len(data) // 16

    def count(array: list[Any]) -> list[Any]:
        # Empty arrays would grow 60-fold in memory; long lists are of files, which take more than this each.
        nonlocal arrays_left
        arrays_left -= 1
        if arrays_left < 0:
            raise ValueError("more arrays than its bytes could mean")
        return array

    try:
        header = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=4096,
            max_bin_len=LONG_KEY_BYTES_MAX,
            max_array_len=1024,
            max_map_len=32,
            max_ext_len=0,
            list_hook=count,
        )
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError(f"a header is not a msgpack map within the limits: {error}") from None
    if type(header) is not dict:
        raise ProtocolError(f"a header is {type(header).__name__}, not a map")
    return header


def _plain(value: object) -> list[Any]:
    if isinstance(value, Position):
        return [value.epoch, value.sequence, value.history_hash]
    if isinstance(value, EpochRecord):
        return [value.epoch, value.id, value.fork]
    if isinstance(value, NodeEntry):
        return [value.node, value.replication, value.clients, value.away_seconds]
    if isinstance(value, FileEntry):
        return [value.name, value.size, value.sha256]
    raise TypeError(f"{type(value).__name__} has no place in a header")
