"""A document of a backup target: its checksum first, then what it holds."""

from __future__ import annotations

from replicad.backup import envelope
from replicad.backup.catalog import decode_catalog
from replicad.backup.collections import decode_collection, decode_doubted, decode_revoked
from replicad.backup.meta import decode_meta, decode_pending
from replicad.cli.explain.explanation import Damage, Explanation
from replicad.errors import CorruptionError, NewerFormatError
from replicad.units import show_time

PREFIX = b'{"replicad":"'


def explain_backup(data: bytes, *, entries: bool) -> Explanation:
    kind = envelope.kind_of(data)
    explained = Explanation(f"{kind or 'backup'} document", len(data))

    try:
        match kind:
            case "backup":
                _meta(explained, data, entries)
            case "pending-backup":
                pending = decode_pending(data)
                explained.header = {
                    "id": pending.id,
                    "owner": pending.owner,
                    "seen": show_time(pending.seen_us),
                    "files_relied_on": len(pending.names),
                    "all_attachments": pending.all_attachments,
                }
                _list(explained, entries, pending.names)
            case "doubted-backup":
                explained.header = {"doubted": show_time(decode_doubted(data))}
            case "revoked-backup":
                explained.header = {"revoked": show_time(decode_revoked(data))}
            case "backup-collection":
                collection = decode_collection(data)
                explained.header = {
                    "started": show_time(collection.started_us),
                    "files_being_removed": len(collection.names),
                }
                _list(explained, entries, collection.names)
            case "backup-catalog":
                catalog = decode_catalog(data)
                explained.header = {"backups": [entry.info.id for entry in catalog]}
            case _:
                explained.header = {"version": envelope.decode(kind or "backup", data)["version"]}
    except CorruptionError as error:
        explained.damage = Damage.of(error)
    except NewerFormatError as error:
        # A newer version is not damage, but its checksum is not shown as right either: this program does not
        # read it.
        explained.notes.append(str(error))
    else:
        explained.header["checksum"] = "right"
    return explained


def _meta(explained: Explanation, data: bytes, entries: bool) -> None:
    meta = decode_meta(data)
    explained.header = {
        "id": meta.id,
        "database_id": meta.database_id.hex(),
        "position": str(meta.position),
        "flushed": str(meta.flushed),
        "epochs": [f"{record.epoch} ({record.id.hex()}) from {record.fork}" for record in meta.epochs],
        "committed": show_time(meta.commit_time_us),
        "created": show_time(meta.created_us),
        "size_bytes": meta.size_bytes,
        "files": len(meta.files),
        "attachments": len(meta.attachments),
        "copied_bytes": meta.copied_bytes,
        "metadata_bytes": len(meta.metadata),
    }

    if entries:
        explained.notes += [
            f"{file.path} is {file.name}, {file.size_bytes} bytes, SHA-256 {file.sha256.hex()}"
            for file in meta.files
        ]


def _list(explained: Explanation, entries: bool, names: tuple[str, ...]) -> None:
    if entries:
        explained.notes += names
