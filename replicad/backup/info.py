"""What is reported of a backup without its list of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replicad.backup.names import BackupId
from replicad.types import DatabaseId, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupInfo:
    """Made by `BackupEngine.create_backup` and `get_backup_info`. Times are microseconds since 1970."""

    id: BackupId
    database_id: DatabaseId
    position: Position
    """The exact state that it holds: the log of the original goes on right after it."""
    commit_time_us: int
    """Of the last batch in it."""
    created_us: int
    size_bytes: int
    """Of all its files, shared or not."""
    own_bytes: int
    """Of the files that no other backup has: what deleting it would free."""
    file_count: int
    attachment_count: int
    copied_bytes: int
    """What its creation had to write; the rest was at the target."""
    copied_files: int
    metadata: bytes

    def as_dict(self) -> dict[str, Any]:
        """For machines. Metadata that is not text becomes {"hex": …}."""
        return {
            "id": self.id,
            "database_id": self.database_id.hex(),
            "position": str(self.position),
            "commit_time_us": self.commit_time_us,
            "created_us": self.created_us,
            "size_bytes": self.size_bytes,
            "own_bytes": self.own_bytes,
            "files": self.file_count,
            "attachments": self.attachment_count,
            "copied_bytes": self.copied_bytes,
            "copied_files": self.copied_files,
            "metadata": _text_or_hex(self.metadata),
        }


def _text_or_hex(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}
