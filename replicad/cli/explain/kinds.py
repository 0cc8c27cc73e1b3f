"""Which kind a file is, by its first and last bytes and then by its name."""

from __future__ import annotations

from pathlib import Path

from replicad.cli.explain.backup import PREFIX as BACKUP_PREFIX
from replicad.cli.explain.backup import explain_backup
from replicad.cli.explain.explanation import Explanation
from replicad.cli.explain.manifest import explain_current, explain_manifest
from replicad.cli.explain.segment import explain_segment
from replicad.cli.explain.table import explain_table
from replicad.cli.explain.text import explain_options
from replicad.errors import InvalidArgument
from replicad.store.manifest.file import MAGIC as MANIFEST_MAGIC
from replicad.store.table.format import FOOTER_BYTES
from replicad.store.table.format import MAGIC as TABLE_MAGIC
from replicad.store.wal.segment import MAGIC as SEGMENT_MAGIC
from replicad.store.wal.segment import is_segment_name


def explain(path: Path, *, entries: bool = False) -> Explanation:
    """Explains any file of ours; `entries` adds what each part holds. Raises InvalidArgument for others."""
    data = path.read_bytes()
    name = path.name

    # The name counts as well: a file whose first bytes are damaged is still explained as what it is.
    if data.startswith(SEGMENT_MAGIC) or is_segment_name(name):
        return explain_segment(data, entries=entries)
    if data.startswith(MANIFEST_MAGIC) or name.startswith("MANIFEST-"):
        return explain_manifest(data, entries=entries)
    if data[-FOOTER_BYTES:].startswith(TABLE_MAGIC) or name.endswith(".sst"):
        return explain_table(data, entries=entries)
    if data.startswith(BACKUP_PREFIX):
        return explain_backup(data, entries=entries)

    # These two have no magic; only their names tell.
    if name == "CURRENT":
        return explain_current(data)
    if name.startswith("OPTIONS-") and name.endswith(".toml"):
        return explain_options(data)

    raise InvalidArgument(
        f"{path} is not a log segment, table, manifest, CURRENT or OPTIONS file, nor a document of a backup"
    )
