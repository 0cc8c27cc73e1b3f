"""The messages of a session (proto/wire.md): what each says, field by field, and their encoding.

A message is declared once, with the check of each field next to its type; the fields are the keys of its
header map, in order. A key that this version does not know is ignored; a missing or ill-typed one is a
ProtocolError. MessageKind numbers and keys are on the wire and never change their meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from enum import IntEnum
from typing import Any, ClassVar, TypeVar, dataclass_transform

from replicad.errors import ProtocolError
from replicad.replication.wire import headers
from replicad.replication.wire.framing import RawMessage, encode_prefix
from replicad.replication.wire.headers import FileEntry, NodeEntry
from replicad.types import EpochRecord, Position

PROTOCOL_VERSION = 1
FILES_ENTRIES_MAX = 256
"""File entries in one FILES message."""
EPOCHS_MAX = 1024
EPOCHS_SENT_MAX = 256
"""Of those that a node has been through it tells the newest: it has itself all that it compares with."""
BOUNDS_MAX = 17
"""Boundaries in one QUESTION."""
PATH_MAX = 64
LINKED_FAMILIES_MAX = 16
LINKED_PREFIXES_MAX = 8
NODES_MAX = 64
"""Nodes that one node knows of, and tells others about."""


def newest_epochs(epochs: tuple[EpochRecord, ...]) -> tuple[EpochRecord, ...]:
    """Those that are told to others, however many there were."""
    return epochs[-EPOCHS_SENT_MAX:]


class MessageKind(IntEnum):
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
    NODES = 14  # P
    STANDING = 20  # both
    HANDOVER = 21  # P
    READY = 22  # R
    GRANT = 23  # P
    PROMISE = 24  # a candidate
    PROMISED = 25  # R or P
    FAILSAFE = 26  # P
    FOLLOWS = 27  # R
    JOIN = 30  # R
    WANTED = 31  # R
    ASK = 32  # P
    WANT_MARK = 40  # R
    QUESTION = 41  # R
    ANSWER = 42  # P
    VERIFIED = 43  # R
    LINK = 50  # T, the target of a link
    LINKED = 51  # S, its source
    LINK_CUT = 52  # S
    SEED = 53  # S
    SEEDED = 54  # S
    LINK_BATCHES = 55  # S
    LINK_ACK = 56  # T


class Message:
    """What every message is."""

    __slots__ = ()
    KIND: ClassVar[MessageKind]


Class = TypeVar("Class", bound=Message)
_CLASSES: dict[int, type[Message]] = {}
_CHECKS: dict[int, dict[str, tuple[headers.Check, Any]]] = {}
"""Of each kind, by field: the check, and what an absent key means (MISSING: it must be there)."""
_WITH_PAYLOAD: set[int] = set()


def wire(check: headers.Check, *, default: Any = MISSING) -> Any:
    """A field of a header. With `default` the key is absent when the field has that value."""
    return field(default=default, metadata={"check": check})


@dataclass_transform(frozen_default=True, field_specifiers=(wire,))
def message(kind: MessageKind) -> Callable[[type[Class]], type[Class]]:
    """Declares the message of a kind. A field `payload` is what follows the header."""

    def declare(declared: type[Class]) -> type[Class]:
        made = dataclass(frozen=True, slots=True)(declared)
        made.KIND = kind
        assert kind not in _CLASSES
        declared_fields = fields(made)  # type: ignore[arg-type]
        _CLASSES[kind] = made
        _CHECKS[kind] = {
            f.name: (f.metadata["check"], f.default) for f in declared_fields if f.name != "payload"
        }
        if any(f.name == "payload" for f in declared_fields):
            _WITH_PAYLOAD.add(kind)
        return made

    return declare


@message(MessageKind.HELLO)
class Hello(Message):
    """Opens the session. `process` is random for every run of a daemon."""

    versions: tuple[int, ...] = wire(headers.array_of(headers.u32, 16))
    node: bytes = wire(headers.id16)
    process: bytes = wire(headers.id16)
    database: bytes | None = wire(headers.optional(headers.id16))
    features: tuple[str, ...] = wire(headers.array_of(headers.text, 32))
    software: str = wire(headers.text)
    name: str = wire(headers.text, default="")
    """What its operator calls the replica."""
    replication: str = wire(headers.text, default="")
    clients: str = wire(headers.text, default="")


@message(MessageKind.WELCOME)
class Welcome(Message):
    """The primary's answer to HELLO, with the version and the features that both know."""

    version: int = wire(headers.u32)
    node: bytes = wire(headers.id16)
    process: bytes = wire(headers.id16)
    database: bytes = wire(headers.id16)
    features: tuple[str, ...] = wire(headers.array_of(headers.text, 32))
    software: str = wire(headers.text)
    heartbeat_ms: int = wire(headers.u32)
    position: Position = wire(headers.position)
    epochs: tuple[EpochRecord, ...] = wire(headers.array_of(headers.epoch_record, EPOCHS_MAX))
    replication: str = wire(headers.text, default="")
    clients: str = wire(headers.text, default="")
    path: tuple[bytes, ...] = wire(headers.array_of(headers.id16, PATH_MAX), default=())


@message(MessageKind.REFUSE)
class Refuse(Message):
    """Why the sender closes the connection now. `retry` says whether time can mend it."""

    code: str = wire(headers.text)
    reason: str = wire(headers.text)
    retry: bool = wire(headers.boolean)


@message(MessageKind.CLAIM)
class PositionClaim(Message):
    """What the replica has; `position` is nil when it has no data."""

    position: Position | None = wire(headers.optional(headers.position))
    durable: int = wire(headers.u64)
    epochs: tuple[EpochRecord, ...] = wire(headers.array_of(headers.epoch_record, EPOCHS_MAX))
    applied: int | None = wire(headers.optional(headers.u64), default=None)
    """What of it its readers see, where that may be less."""


@message(MessageKind.DECISION)
class Decided(Message):
    """The outcome of *agree*; `fork` is set when the outcome is to rewind."""

    outcome: str = wire(headers.text)
    code: str = wire(headers.text)
    reason: str = wire(headers.text)
    position: Position = wire(headers.position)
    fork: Position | None = wire(headers.optional(headers.position))


@message(MessageKind.FRAMES)
class LogFrames(Message):
    """Whole log frames, byte for byte, in the payload; `primary` is the primary's durable sequence number."""

    first: int = wire(headers.u64)
    last: int = wire(headers.u64)
    primary: int = wire(headers.u64)
    payload: bytes


@message(MessageKind.HEARTBEAT)
class Heartbeat(Message):
    """Sent by both sides every heartbeat interval: durable position (0:0:0 without data) and wall clock.

    The other keys tell a replica how old its data is: its own clock comes back to it.
    """

    position: Position = wire(headers.position)
    clock_us: int = wire(headers.u64)
    sent_us: int = wire(headers.u64, default=0)
    """The replica's clock, which only it reads; 0: it asks for nothing."""
    echo_us: int | None = wire(headers.optional(headers.u64), default=0)
    """`sent_us` of the last heartbeat that was taken here; None before the first, 0 by who does not tell."""
    age_us: int | None = wire(headers.optional(headers.u64), default=0)
    """How long ago the primary of all surely had no more than `position`; None: that is not known."""


@message(MessageKind.ACK)
class Ack(Message):
    """How far the replica is: three different facts. None is ever above what was received, none goes back.

    `durable` is above `applied` where the replica applies late."""

    received: int = wire(headers.u64)
    applied: int = wire(headers.u64)
    durable: int = wire(headers.u64)


@message(MessageKind.COPY)
class Copy(Message):
    """A copy is there to be fetched: `files` entries, `bytes` in all, which open at `position`."""

    copy: bytes = wire(headers.id16)
    position: Position = wire(headers.position)
    files: int = wire(headers.u32)
    bytes: int = wire(headers.u64)


@message(MessageKind.FILES)
class Files(Message):
    """A part of the copy's list, in order."""

    first: int = wire(headers.u32)
    entries: tuple[FileEntry, ...] = wire(headers.array_of(headers.file_entry, FILES_ENTRIES_MAX))


@message(MessageKind.FETCH)
class Fetch(Message):
    """Asks for `length` bytes of one file of the list, from `offset` on; 0 is to its end."""

    entry: int = wire(headers.u32)
    offset: int = wire(headers.u64)
    length: int = wire(headers.u64, default=0)


@message(MessageKind.DATA)
class Data(Message):
    """Bytes of one file, in order from the offset that was asked for."""

    entry: int = wire(headers.u32)
    offset: int = wire(headers.u64)
    payload: bytes | bytearray


@message(MessageKind.INSTALLED)
class Installed(Message):
    """The copy is verified and durable at the replica; the primary may remove its files."""

    copy: bytes = wire(headers.id16)


@message(MessageKind.NODES)
class Nodes(Message):
    """The other nodes of the database that the sender knows, and those that it was told to forget: with them
    a replica finds out, when the primary is dead, who has what it acknowledged."""

    nodes: tuple[NodeEntry, ...] = wire(headers.array_of(headers.node_entry, NODES_MAX))
    gone: tuple[bytes, ...] = wire(headers.array_of(headers.id16, NODES_MAX), default=())


@message(MessageKind.JOIN)
class Join(Message):
    """Opens a further connection for the files of a copy that a session of this process offers."""

    node: bytes = wire(headers.id16)
    process: bytes = wire(headers.id16)
    copy: bytes = wire(headers.id16)


@message(MessageKind.WANTED)
class WantedFiles(Message):
    """How much of the copy the replica lacks, and will ask for."""

    copy: bytes = wire(headers.id16)
    files: int = wire(headers.u32)
    bytes: int = wire(headers.u64)


@message(MessageKind.ASK)
class Ask(Message):
    """Somebody waits: what the replica has up to `through` it acknowledges at once, and not when it suits."""

    through: int = wire(headers.u64)


@message(MessageKind.WANT_MARK)
class WantMark(Message):
    """Asks for a mark in the log that is held for `seconds`; the mark itself is the answer."""

    mark: bytes = wire(headers.id16)
    seconds: int = wire(headers.u32)


@message(MessageKind.QUESTION)
class Question(Message):
    """Asks what the primary's data was at a mark; answer_codec.py has the subjects and the answers' payloads.

    `size` is what a part should have, or what is read of a range at most, in bytes.
    """

    ask: int = wire(headers.u32)
    mark: bytes = wire(headers.id16)
    about: str = wire(headers.text)
    family: int = wire(headers.u32)
    bounds: tuple[bytes | None, ...] = wire(
        headers.array_of(headers.optional(headers.short_bytes), BOUNDS_MAX)
    )
    size: int = wire(headers.u64)
    parts: int = wire(headers.u32)


@message(MessageKind.ANSWER)
class Answer(Message):
    """The answer to the question of that number, or why there is none."""

    ask: int = wire(headers.u32)
    trouble: str | None = wire(headers.optional(headers.text))
    reason: str = wire(headers.text)
    payload: bytes


@message(MessageKind.VERIFIED)
class Verified(Message):
    """What a verification of all data found, for the primary to show."""

    sequence: int = wire(headers.u64)
    differences: int = wire(headers.u32)
    seconds: int = wire(headers.u32)


@message(MessageKind.LINK)
class LinkHello(Message):
    """Opens a link (proto/link.md): the primary of another database wants what is linked of this one.

    It has the batches of the sender's log through (`epoch`, `sequence`); with `seeds` it wants all data
    first, after `seed_after` of the family `seed_family` where a seed was broken off.
    """

    versions: tuple[int, ...] = wire(headers.array_of(headers.u32, 16))
    node: bytes = wire(headers.id16)
    process: bytes = wire(headers.id16)
    database: bytes = wire(headers.id16)
    software: str = wire(headers.text)
    name: str = wire(headers.text)
    """What its operator calls the link."""
    families: tuple[str, ...] = wire(headers.array_of(headers.text, LINKED_FAMILIES_MAX))
    epoch: int = wire(headers.u32)
    sequence: int = wire(headers.u64)
    seeds: bool = wire(headers.boolean)
    seed_family: str = wire(headers.text, default="")
    seed_after: bytes | None = wire(headers.optional(headers.long_key), default=None)
    member: bool = wire(headers.boolean, default=False)
    """Whether it knows other primaries than itself already."""
    prefixes: tuple[bytes, ...] = wire(headers.array_of(headers.prefix, LINKED_PREFIXES_MAX), default=())
    """Only keys that begin with one of these; empty: all keys."""


@message(MessageKind.LINKED)
class Linked(Message):
    """The source's answer: it goes on with what was asked for."""

    version: int = wire(headers.u32)
    node: bytes = wire(headers.id16)
    database: bytes = wire(headers.id16)
    software: str = wire(headers.text)
    heartbeat_ms: int = wire(headers.u32)
    position: Position = wire(headers.position)
    partial: bool = wire(headers.boolean, default=False)
    """The link leaves something out, or one did that the source's data came over."""


@message(MessageKind.LINK_CUT)
class LinkCut(Message):
    """The seed that follows is of this place of the source's log; the payload has the records of its
    origins."""

    epoch: int = wire(headers.u32)
    sequence: int = wire(headers.u64)
    payload: bytes
    horizon_us: int = wire(headers.u64, default=0)
    """No stamp of a deletion at this time or before is there any more."""


@message(MessageKind.SEED)
class SeedPart(Message):
    """All that one family holds from the part before to a key; the payload has the key and the operations."""

    payload: bytes


@message(MessageKind.SEEDED)
class Seeded(Message):
    """That was all; the batches after the cut follow."""


@message(MessageKind.LINK_BATCHES)
class LinkBatches(Message):
    """Linked batches in the order of the source's log, which was read through `through` and ends at
    `newest`."""

    through: int = wire(headers.u64)
    newest: int = wire(headers.u64)
    payload: bytes


@message(MessageKind.LINK_ACK)
class LinkAck(Message):
    """The target holds everything through `sequence` of the source's log durably, and `parts` of a seed."""

    sequence: int = wire(headers.u64)
    parts: int = wire(headers.u32)


@message(MessageKind.STANDING)
class StandingMessage(Message):
    """Who the sender is at this moment; the answer to one is another. It opens a connection of its own."""

    node: bytes = wire(headers.id16)
    process: bytes = wire(headers.id16)
    standing: str = wire(headers.text)
    database: bytes | None = wire(headers.optional(headers.id16))
    position: Position | None = wire(headers.optional(headers.position))
    epochs: tuple[EpochRecord, ...] = wire(headers.array_of(headers.epoch_record, EPOCHS_MAX))
    replication: str = wire(headers.text)
    clients: str = wire(headers.text)
    primary: str = wire(headers.text)
    primary_clients: str = wire(headers.text)
    path: tuple[bytes, ...] = wire(headers.array_of(headers.id16, PATH_MAX))
    granted: int | None = wire(headers.optional(headers.u32), default=None)
    """The epoch that it gave to `primary`, and does not know to have begun."""
    nodes: tuple[str, ...] = wire(headers.array_of(headers.text, NODES_MAX), default=())
    """The replication addresses of the other nodes that it knows."""
    heard_ms: int | None = wire(headers.optional(headers.u32), default=None)
    """How old what it knows of the primary of all is, while it follows."""


@message(MessageKind.HANDOVER)
class Handover(Message):
    """A primary that takes no writes asks its replica to be ready at `position` within `within_ms`."""

    node: bytes = wire(headers.id16)
    database: bytes = wire(headers.id16)
    position: Position = wire(headers.position)
    within_ms: int = wire(headers.u32)


@message(MessageKind.READY)
class Ready(Message):
    """The replica holds `position` durably, follows nobody else, and waits for the grant."""

    position: Position = wire(headers.position)


@message(MessageKind.GRANT)
class Grant(Message):
    """The primary has stepped down, durably: the replica begins `epoch` at `position`. May come twice."""

    node: bytes = wire(headers.id16)
    database: bytes = wire(headers.id16)
    position: Position = wire(headers.position)
    epoch: int = wire(headers.u32)


@message(MessageKind.PROMISE)
class Promise(Message):
    """A node that has claimed `epoch` asks another one to acknowledge nothing of a lower epoch any more."""

    node: bytes = wire(headers.id16)
    database: bytes = wire(headers.id16)
    epoch: int = wire(headers.u32)


@message(MessageKind.PROMISED)
class Promised(Message):
    """The sender has promised it, durably. Its durable position: nothing that it acknowledged is beyond."""

    node: bytes = wire(headers.id16)
    epoch: int = wire(headers.u32)
    position: Position = wire(headers.position)


@message(MessageKind.FAILSAFE)
class Failsafe(Message):
    """A leader that etcd does not answer asks whether the node follows it, and has it hold still for so
    long: neither claim the leadership nor promise an epoch."""

    node: bytes = wire(headers.id16)
    database: bytes = wire(headers.id16)
    epoch: int = wire(headers.u32)
    hold_ms: int = wire(headers.u32)


@message(MessageKind.FOLLOWS)
class Follows(Message):
    """The sender follows that leader in that epoch, and holds still from now on."""

    node: bytes = wire(headers.id16)
    epoch: int = wire(headers.u32)


def encode(message: Message) -> tuple[bytes, bytes]:
    """Prefix with header, and payload: the two byte strings that follow each other on the wire. A field that
    has its default has no key."""
    kind = message.KIND
    values = {name: getattr(message, name) for name in _CHECKS[kind]}
    said = {name: value for name, value in values.items() if value != _CHECKS[kind][name][1]}
    header = headers.encode_header(said)
    payload = getattr(message, "payload", b"")
    return encode_prefix(kind, header, payload), payload


def decode(raw: RawMessage) -> Message:
    """Raises ProtocolError for anything that `encode` of some version could not have written."""
    declared = _CLASSES.get(raw.kind)
    if declared is None:
        raise ProtocolError(f"there is no message of kind {raw.kind}")

    header = headers.decode_header(raw.header)

    # A key that is not declared is ignored: a later version may add some.
    values = {}
    for name, (check, default) in _CHECKS[raw.kind].items():
        if name in header:
            values[name] = check(name, header[name])
        elif default is MISSING:
            raise ProtocolError(f"{declared.KIND.name}: {name!r} is missing")

    if raw.kind in _WITH_PAYLOAD:
        # Pieces of files are only written and hashed. All else keeps what it gets: it must not change.
        is_file = declared.KIND is MessageKind.DATA
        values["payload"] = raw.payload if is_file else bytes(raw.payload)
    elif raw.payload:
        raise ProtocolError(f"{declared.KIND.name}: a payload of {len(raw.payload)} bytes where none belongs")

    return declared(**values)
