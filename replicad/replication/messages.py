"""The messages of a session and their header maps (proto/wire.md).

A header is a msgpack map from short strings to integers, byte strings, strings, nil, booleans or arrays of
these, decoded under strict limits. A key that this version does not know is ignored, a missing or ill-typed
one is a ProtocolError. Kind numbers and keys are on the wire and never change their meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar, TypeAlias

import msgpack

from replicad.errors import ProtocolError
from replicad.replication.framing import RawMessage, encode_prefix
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence

PROTOCOL_VERSION = 1
FILES_ENTRIES_MAX = 256
"""File entries in one FILES message."""
EPOCHS_MAX = 1024

Check: TypeAlias = Callable[[str, Any], Any]


class Kind(IntEnum):
    """The kind byte, with who sends it (R: replica, P: primary)."""

    HELLO = 1  # R
    WELCOME = 2  # P
    REFUSE = 3  # both
    CLAIM = 4  # R
    DECISION = 5  # P
    FRAMES = 6  # P
    HEARTBEAT = 7  # both
    ACK = 8  # R
    COPY = 9  # P
    FILES = 10  # P
    FETCH = 11  # R
    DATA = 12  # P
    INSTALLED = 13  # R


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
class Hello:
    """Opens the session. `process` is random for every run of a daemon."""

    KIND: ClassVar = Kind.HELLO
    CHECKS: ClassVar[dict[str, Check]] = {
        "versions": array_of(u32, 16),
        "node": id16,
        "process": id16,
        "database": optional(id16),
        "features": array_of(text, 32),
        "software": text,
    }
    versions: tuple[int, ...]
    node: bytes
    process: bytes
    database: bytes | None
    features: tuple[str, ...]
    software: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The primary's answer to HELLO, with the version and the features that both know."""

    KIND: ClassVar = Kind.WELCOME
    CHECKS: ClassVar[dict[str, Check]] = {
        "version": u32,
        "node": id16,
        "process": id16,
        "database": id16,
        "features": array_of(text, 32),
        "software": text,
        "heartbeat_ms": u32,
        "position": position,
        "epochs": array_of(epoch_record, EPOCHS_MAX),
    }
    version: int
    node: bytes
    process: bytes
    database: bytes
    features: tuple[str, ...]
    software: str
    heartbeat_ms: int
    position: Position
    epochs: tuple[EpochRecord, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Why the sender closes the connection now. `retry` says whether time can mend it."""

    KIND: ClassVar = Kind.REFUSE
    CHECKS: ClassVar[dict[str, Check]] = {"code": text, "reason": text, "retry": boolean}
    code: str
    reason: str
    retry: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What the replica has; `position` is nil when it has no data."""

    KIND: ClassVar = Kind.CLAIM
    CHECKS: ClassVar[dict[str, Check]] = {
        "position": optional(position),
        "durable": u64,
        "epochs": array_of(epoch_record, EPOCHS_MAX),
    }
    position: Position | None
    durable: int
    epochs: tuple[EpochRecord, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """The outcome of *agree*; `fork` is set when the outcome is to rewind."""

    KIND: ClassVar = Kind.DECISION
    CHECKS: ClassVar[dict[str, Check]] = {
        "outcome": text,
        "code": text,
        "reason": text,
        "position": position,
        "fork": optional(position),
    }
    outcome: str
    code: str
    reason: str
    position: Position
    fork: Position | None


@dataclass(frozen=True, slots=True)
class Frames:
    """Whole log frames, byte for byte, in the payload; `primary` is the primary's durable sequence number."""

    KIND: ClassVar = Kind.FRAMES
    CHECKS: ClassVar[dict[str, Check]] = {"first": u64, "last": u64, "primary": u64}
    first: int
    last: int
    primary: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sent by both sides every heartbeat interval: durable position (0:0:0 without data) and wall clock."""

    KIND: ClassVar = Kind.HEARTBEAT
    CHECKS: ClassVar[dict[str, Check]] = {"position": position, "clock_us": u64}
    position: Position
    clock_us: int


@dataclass(frozen=True, slots=True)
class Ack:
    """How far the replica is: three different facts. None is ever above what was sent, none goes back."""

    KIND: ClassVar = Kind.ACK
    CHECKS: ClassVar[dict[str, Check]] = {"received": u64, "applied": u64, "durable": u64}
    received: int
    applied: int
    durable: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy is there to be fetched: `files` entries, `bytes` in all, which open at `position`."""

    KIND: ClassVar = Kind.COPY
    CHECKS: ClassVar[dict[str, Check]] = {"copy": id16, "position": position, "files": u32, "bytes": u64}
    copy: bytes
    position: Position
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Files:
    """A part of the copy's list, in order."""

    KIND: ClassVar = Kind.FILES
    CHECKS: ClassVar[dict[str, Check]] = {"first": u32, "entries": array_of(file_entry, FILES_ENTRIES_MAX)}
    first: int
    entries: tuple[FileEntry, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Asks for one file of the list, from `offset` to its end."""

    KIND: ClassVar = Kind.FETCH
    CHECKS: ClassVar[dict[str, Check]] = {"entry": u32, "offset": u64}
    entry: int
    offset: int


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of one file, in order from the offset that was asked for."""

    KIND: ClassVar = Kind.DATA
    CHECKS: ClassVar[dict[str, Check]] = {"entry": u32, "offset": u64}
    entry: int
    offset: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Installed:
    """The copy is verified and durable at the replica; the primary may remove its files."""

    KIND: ClassVar = Kind.INSTALLED
    CHECKS: ClassVar[dict[str, Check]] = {"copy": id16}
    copy: bytes


Message: TypeAlias = (
    Hello
    | Welcome
    | Refuse
    | Claim
    | Decided
    | Frames
    | Heartbeat
    | Ack
    | Copy
    | Files
    | Fetch
    | Data
    | Installed
)

_TYPES: dict[int, type[Any]] = {
    message.KIND: message
    for message in (
        Hello, Welcome, Refuse, Claim, Decided, Frames, Heartbeat, Ack, Copy, Files, Fetch, Data, Installed,
    )
}  # fmt: skip
_NAMES: dict[int, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(message) if field.name != "payload")
    for kind, message in _TYPES.items()
}
_WITH_PAYLOAD = frozenset({Kind.FRAMES, Kind.DATA})


def encode(message: Message) -> tuple[bytes, bytes]:
    """Prefix with header, and payload: the two byte strings that follow each other on the wire."""
    kind = message.KIND
    header = msgpack.packb({name: getattr(message, name) for name in _NAMES[kind]}, default=_plain)
    payload = getattr(message, "payload", b"")
    return encode_prefix(kind, header, payload), payload


def decode(raw: RawMessage) -> Message:
    """Raises ProtocolError for anything that `encode` of some version could not have written."""
    message = _TYPES.get(raw.kind)
    if message is None:
        raise ProtocolError(f"there is no message of kind {raw.kind}")
    header = decode_header(raw.header)
    values = {}
    for name, check in message.CHECKS.items():
        if name not in header:
            raise ProtocolError(f"{message.__name__}: {name!r} is missing")
        values[name] = check(name, header[name])
    if raw.kind in _WITH_PAYLOAD:
        return message(**values, payload=raw.payload)  # type: ignore[no-any-return]
    if raw.payload:
        raise ProtocolError(f"{message.__name__}: a payload of {len(raw.payload)} bytes where none belongs")
    return message(**values)  # type: ignore[no-any-return]


def decode_header(data: bytes) -> dict[str, Any]:
    """The header map under its limits."""
    try:
        header = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=4096,
            max_bin_len=4096,
            max_array_len=1024,
            max_map_len=32,
            max_ext_len=0,
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
    if isinstance(value, FileEntry):
        return [value.name, value.size, value.sha256]
    raise TypeError(f"{type(value).__name__} has no place in a header")
