"""The records of the node state and their encoding: small msgpack maps, decoded under strict limits.

A key that this version does not know is ignored; a missing one that has no default, or an ill-typed one, is a
CorruptionError.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

import msgpack

from replicad.errors import CorruptionError

VALUE_BYTES_MAX = 4096
FORMAT = 1
"""On disk. A later one is for a record that this version must not ignore: it refuses the whole state then. A
field with a default needs no new one."""

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """Made at the first start and kept for the life of the directory."""

    node_id: bytes
    created_us: int
    format: int = 1
    """Of all records; see FORMAT."""
    release: str = ""
    """The release of replicad that opened the state last; empty before releases wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the node last showed; `position` is `str(Position)`, durable on this node when it was written."""

    role: str
    database_id: bytes | None
    position: str | None
    primary_address: str | None
    link: str | None
    """State of the replication link of a replica, with what it waits for."""
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapProgress:
    """A bootstrap that is under way: bytes that are verified at the replica, of how many."""

    copy_id: bytes
    position: str
    files: int
    files_total: int
    size_bytes: int
    size_bytes_total: int
    started_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The log after `sequence` stays for the replica `node_id`, within limits; or for a change feed.

    `invalid` is why the slot holds nothing any more, or None. `idle_seconds` counts how long the replica was
    away while the node ran; `name` is what the replica calls itself. A feed's id follows from its name.
    """

    node_id: bytes
    sequence: int
    seen_us: int
    invalid: str | None = None
    idle_seconds: int = 0
    name: str = ""
    acknowledged: int = field(default=0, compare=False)
    """Whether the replica has ever acknowledged anything: until then nobody has seen that it is one."""
    owner: str = ""
    """What the replica's certificate called it when it first used the slot; empty without TLS."""
    position: str = ""
    """Of a change feed: the position that its reader acknowledged. Empty in the slot of a replica."""

    @property
    def is_feed(self) -> bool:
        return bool(self.position)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRecord:
    """What the node was told to be, by its first start or by a change since; see `replication.roles`."""

    role: str
    epoch: int
    """The node's own, when this was written: a promotion after it is known by a later one."""
    primary: str | None = None
    """The replication address that it follows, where that is not what the configuration says."""
    configured: str | None = None
    """What the configuration said when `primary` was learned: a newer configuration counts again."""
    fenced_by: int | None = None
    """A higher epoch that it met and does not follow yet."""
    granted_epoch: int | None = None
    """A switchover: the epoch that was given away, until its new primary is known to have begun it."""
    replication_port: int | None = None
    """Where replicas connected last: a port that the system chose is asked for again."""
    primary_sequence: int | None = None
    """The highest durable sequence number that its primary told it, when this was written …"""
    primary_epoch: int | None = None
    """… and the epoch in which it did: what is known of a lower one counts no more."""
    took_role: int = 0
    """Whether the configuration said at the last start that the role is to be taken: then it was tried."""
    ahead_epoch: int | None = None
    """The last epoch in which this node, as its primary, sent log before that was durable …"""
    ahead_boot: str | None = None
    """… and the run of the operating system in which it did; both are cleared at a clean stop."""
    primary_node: bytes | None = None
    """The id of the primary of all, which took the writes when this was written."""
    promised_epoch: int | None = None
    """A candidate's epoch: this node acknowledges nothing of a lower one any more."""
    promised_node: bytes | None = None
    """The candidate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPeer:
    """Another node of this database, and where it was met last.

    `is_proven`: it was reached there, or a node that was says so; otherwise only it said so itself.
    `away_seconds` counts how long nobody has heard of it, while this node ran.
    """

    node_id: bytes
    replication: str
    clients: str
    seen_us: int
    away_seconds: int = 0
    is_proven: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord:
    """What the last comparison with the node that is followed found, and what was found otherwise since.

    `doubt` is why the data cannot be trusted, or None; `repairs` counts the bootstraps for that reason since
    a comparison was good.
    """

    at_us: int = 0
    sequence: int = 0
    compared_bytes: int = 0
    pass_ms: int = 0
    doubt: str | None = None
    repairs: int = 0
    diverged: str | None = None
    """Why the node that is followed has another history, as far as is known."""
    repaired: int = 0
    """Bootstraps that replaced doubted data, since the node was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRecord:
    """The last batch that a replica applies until it is resumed: by sequence number or by commit time."""

    sequence: int | None = None
    time_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRecord:
    """Of a leader with failover: `count` of `replicas` hold all that it acknowledged in `epoch`."""

    database_id: bytes
    epoch: int
    count: int
    replicas: bytes
    """Their ids, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """Everything in a node's state, as another process reads it."""

    identity: NodeRecord
    shown: Shown | None
    bootstrap: BootstrapProgress | None
    slots: tuple[Slot, ...]
    role: RoleRecord | None = None
    peers: tuple[KnownPeer, ...] = ()
    verification: VerificationRecord | None = None
    pause: PauseRecord | None = None
    rule: RuleRecord | None = None


def encode(record: Any) -> bytes:
    """`record` is one of the record classes above."""
    data: bytes = msgpack.packb(asdict(record))
    if len(data) > VALUE_BYTES_MAX:
        raise AssertionError(f"{type(record).__name__} takes {len(data)} bytes")
    return data


def decode(kind: type[Record], data: bytes) -> Record:
    """Raises CorruptionError naming the record."""
    # These limits keep a damaged value from making the decoder take much memory.
    try:
        values = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=VALUE_BYTES_MAX,
            max_bin_len=VALUE_BYTES_MAX,
            max_array_len=64,
            max_map_len=64,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise CorruptionError(f"{kind.__name__} record: {error}") from None

    if type(values) is not dict:
        raise CorruptionError(f"{kind.__name__} record is not a map")

    wanted = get_type_hints(kind)
    known = {}
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name not in values:
            if each.default is not MISSING:
                # A record of an older version, which did not have this field yet.
                continue
            raise CorruptionError(f"{kind.__name__} record: {each.name} is missing")

        value = values[each.name]
        # To isinstance a bool is an int, and no record has one.
        if isinstance(value, bool) or not isinstance(value, wanted[each.name]):
            raise CorruptionError(f"{kind.__name__} record: {each.name} is {type(value).__name__}")
        known[each.name] = value
    return kind(**known)
