"""What a backup is: its position and every file of it. Also what a backup that is being made relies on.

Both are documents of `envelope`; positions are written as `EPOCH:SEQUENCE:HASH`, digests and ids as hex.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Literal, get_args

from replicad.backup import envelope
from replicad.backup.names import BackupId, check_path
from replicad.backup.options import METADATA_BYTES_MAX
from replicad.errors import CorruptionError, InvalidArgument
from replicad.types import DatabaseId, Epoch, EpochRecord, Position

META_KIND = "backup"
PENDING_KIND = "pending-backup"

FileKind = Literal["shared", "private", "attachment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFile:
    """One file. `path` is where it goes: beneath the database's directory, or beneath the attachments'."""

    path: str
    name: str
    """At the target."""
    size_bytes: int
    sha256: bytes
    kind: FileKind


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMeta:
    """Immutable once it is published. Times are microseconds since 1970."""

    id: BackupId
    database_id: DatabaseId
    position: Position
    """What opens: tables, then the log through here."""
    flushed: Position
    """What the tables hold."""
    epochs: tuple[EpochRecord, ...]
    commit_time_us: int
    """Of the batch that ends at `position`; 0 in an empty database."""
    created_us: int
    """When the cut was taken."""
    copied_bytes: int
    copied_files: int
    """What this backup had to write; the rest was there."""
    metadata: bytes
    files: tuple[BackupFile, ...]
    owner: str = ""
    """Of the claim that it was: a revocation of another one of the same id does not mean it."""

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def names(self) -> frozenset[str]:
        """Of every file at the target."""
        return frozenset(file.name for file in self.files)

    @property
    def shared(self) -> dict[str, int]:
        """Size by name at the target of what other backups may have too."""
        return {file.name: file.size_bytes for file in self.files if file.kind != "private"}

    @property
    def attachments(self) -> tuple[BackupFile, ...]:
        return tuple(file for file in self.files if file.kind == "attachment")

    @property
    def database_files(self) -> tuple[BackupFile, ...]:
        return tuple(file for file in self.files if file.kind != "attachment")


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingBackup:
    """Published before anything is copied: no collection removes what it names.

    `all_attachments`: which attachments it needs is not known yet, so none of them goes. `seen_us` is when
    its maker was heard of last; only its maker writes it.
    """

    id: BackupId
    owner: str
    seen_us: int
    names: tuple[str, ...]
    all_attachments: bool = False


def encode_meta(meta: BackupMeta) -> bytes:
    if len(meta.metadata) > METADATA_BYTES_MAX:
        raise InvalidArgument(
            f"metadata has {len(meta.metadata)} bytes; at most {METADATA_BYTES_MAX} are kept"
        )

    # An `owner` that is missing means that any revocation of the id is for this backup; an empty one is read
    # the same way, so it is left out.
    return envelope.encode(
        META_KIND,
        {
            **({"owner": meta.owner} if meta.owner else {}),
            "id": meta.id,
            "database_id": meta.database_id.hex(),
            "position": str(meta.position),
            "flushed": str(meta.flushed),
            "epochs": [
                {"epoch": record.epoch, "id": record.id.hex(), "fork": str(record.fork)}
                for record in meta.epochs
            ],
            "commit_time_us": meta.commit_time_us,
            "created_us": meta.created_us,
            "copied_bytes": meta.copied_bytes,
            "copied_files": meta.copied_files,
            "metadata": base64.b64encode(meta.metadata).decode(),
            "files": [
                {
                    "path": file.path,
                    "name": file.name,
                    "size": file.size_bytes,
                    "sha256": file.sha256.hex(),
                    "kind": file.kind,
                }
                for file in meta.files
            ],
        },
    )


def decode_meta(data: bytes) -> BackupMeta:
    """Raises CorruptionError or NewerFormatError."""
    body = envelope.decode(META_KIND, data)

    try:
        meta = BackupMeta(
            id=BackupId(_number(body["id"])),
            database_id=DatabaseId(bytes.fromhex(body["database_id"])),
            position=Position.parse(body["position"]),
            flushed=Position.parse(body["flushed"]),
            epochs=tuple(
                EpochRecord(
                    Epoch(_number(record["epoch"])),
                    bytes.fromhex(record["id"]),
                    Position.parse(record["fork"]),
                )
                for record in body["epochs"]
            ),
            commit_time_us=_number(body["commit_time_us"]),
            created_us=_number(body["created_us"]),
            copied_bytes=_number(body["copied_bytes"]),
            copied_files=_number(body["copied_files"]),
            metadata=base64.b64decode(body["metadata"], validate=True),
            files=tuple(_file(file) for file in body["files"]),
            owner=_text(body.get("owner", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, InvalidArgument) as error:
        raise CorruptionError(f"not a backup: {error}", offset=0) from error

    # A database file and an attachment may have the same path, because they go to different directories. Two
    # files of one kind would overwrite each other.
    for paths in (meta.attachments, meta.database_files):
        if len({file.path for file in paths}) != len(paths):
            raise CorruptionError("not a backup: two files have one path", offset=0)
    return meta


def encode_pending(pending: PendingBackup) -> bytes:
    return envelope.encode(
        PENDING_KIND,
        {
            "id": pending.id,
            "owner": pending.owner,
            "seen_us": pending.seen_us,
            "names": list(pending.names),
            "all_attachments": pending.all_attachments,
        },
    )


def decode_pending(data: bytes) -> PendingBackup:
    """Raises CorruptionError or NewerFormatError."""
    body = envelope.decode(PENDING_KIND, data)
    try:
        return PendingBackup(
            id=BackupId(_number(body["id"])),
            owner=_text(body["owner"]),
            seen_us=_number(body["seen_us"]),
            names=tuple(_text(name) for name in body["names"]),
            all_attachments=body["all_attachments"] is True,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptionError(f"not a pending backup: {error}", offset=0) from error


def _file(fields: dict[str, Any]) -> BackupFile:
    kind = fields["kind"]
    if kind not in get_args(FileKind):
        raise ValueError(f"{kind!r} is not a kind of file")
    sha256 = bytes.fromhex(fields["sha256"])
    if len(sha256) != 32:
        raise ValueError("a SHA-256 has 32 bytes")
    return BackupFile(
        path=check_path(fields["path"]),
        name=check_path(fields["name"]),
        size_bytes=_number(fields["size"]),
        sha256=sha256,
        kind=kind,
    )


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a whole number of at least 0")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value
