"""What may stand in a data directory. A directory with other content and no database is somebody else's."""

from __future__ import annotations

from pathlib import Path

from replicad.env import FileSystem

STAGING = "restore"
ATTACHMENTS = "attachments"
_OUR_NAMES = frozenset(
    {"LOCK", STAGING, ATTACHMENTS, "wal", "archive", "bootstrap", "state", "CURRENT", "lost+found"}
)
_OUR_BEGINNINGS = ("MANIFEST-", "OPTIONS-")


def foreign_content(fs: FileSystem, path: Path) -> str | None:
    """What is wrong with a directory that has no database, and is not there for one either."""
    foreign = [name for name in fs.list(path) if not _is_ours(name)]
    if foreign and not fs.exists(path / "CURRENT"):
        return f"{path} holds {foreign[0]!r} and no database"
    return None


def _is_ours(name: str) -> bool:
    return name in _OUR_NAMES or name.startswith(_OUR_BEGINNINGS) or name.endswith((".sst", ".tmp"))
