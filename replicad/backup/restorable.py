"""Whether files that are whole, each by itself, make a backup that can be restored.

Asked by a verification and, before anything is changed, by a restore.
"""

from __future__ import annotations

import re
from pathlib import Path

from replicad.backup.attachment_names import name_problems
from replicad.backup.in_place import BackupFileSystem
from replicad.backup.meta import BackupMeta
from replicad.backup.target import Target
from replicad.errors import CorruptionError, NewerFormatError, NotFoundError
from replicad.store.manifest.file import load
from replicad.store.manifest.state import ManifestState

_DATABASE_PATH = re.compile(r"CURRENT|MANIFEST-\d+|OPTIONS-\d+\.toml|\d{6,}\.sst|wal/[^/]+\.log")


def list_problems(meta: BackupMeta) -> list[str]:
    """What the list of files alone shows, one sentence each; empty when nothing is wrong with it."""
    strange = [file.path for file in meta.database_files if _DATABASE_PATH.fullmatch(file.path) is None]
    found = [f"{path!r} is not a file of a database" for path in strange]
    return found + name_problems(file.path for file in meta.attachments)


def check_list(meta: BackupMeta, url: str) -> None:
    """Raises CorruptionError unless the list is one that can be restored."""
    if problems := list_problems(meta):
        raise CorruptionError(
            f"backup {meta.id} cannot be restored: {problems[0]}", path=f"{url}/meta/{meta.id}.json", offset=0
        )


def check_manifest(state: ManifestState, meta: BackupMeta, directory: Path) -> None:
    """Raises CorruptionError unless the manifest is this backup's, and its tables are in the list."""
    listed = {(file.path, file.size_bytes, file.sha256) for file in meta.database_files}

    # A table that is not in the list is not fetched: the database would lack it, or open another one of its
    # name.
    for table in state.tables:
        if (table.name, table.size_bytes, table.sha256) not in listed:
            raise CorruptionError(
                f"the manifest names a table that is not in the backup ({table.name})",
                path=directory,
                offset=0,
            )

    expected = (meta.database_id.hex(), meta.flushed, True)
    found = (state.database_id.hex(), state.flushed, state.copy)
    if found != expected:
        raise CorruptionError(
            "the manifest is not the one of this backup",
            path=directory,
            offset=0,
            expected=expected,
            got=found,
        )


def manifest_problem(target: Target, meta: BackupMeta) -> str | None:
    """What keeps the manifest at the target from being that of the backup; None when it is."""
    root = Path("/") / f"backup-{meta.id}"
    try:
        check_manifest(load(BackupFileSystem(target, meta, root), root, of_copy=True), meta, root)
    except (CorruptionError, NewerFormatError, NotFoundError) as error:
        return str(getattr(error, "reason", error))
    except OSError as error:
        return f"its manifest cannot be read: {error}"
    return None
