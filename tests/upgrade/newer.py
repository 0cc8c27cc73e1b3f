"""`python -m tests.upgrade.newer FORMAT …`: a later release, played by this one with one version raised.

    table, log segment, manifest, options file
                      DIRECTORY: makes a database with tables and log there
    none              DIRECTORY: the same, with every version as it is
    node state        DIRECTORY: makes the state of a node there
    backup            DIRECTORY: makes a database and a backup of it, in `backups/`
    wire              ARGUMENTS of `replicad`: a node that speaks protocol 2 only

The release calls itself RELEASE.
"""

from __future__ import annotations

import sys
from pathlib import Path

import replicad
from replicad.backup import envelope
from replicad.env import Env
from replicad.replication.wire import identify
from replicad.state import node as node_state
from replicad.state.node import NodeState
from replicad.store.directory import options_file
from replicad.store.manifest import file as manifest_file
from replicad.store.table import format as table_format
from replicad.store.wal import segment as log_segment

RELEASE = "9.9.0"
MODULES = {
    "table": table_format,
    "log segment": log_segment,
    "manifest": manifest_file,
    "options file": options_file,
}


def write(kind: str, directory: Path) -> None:
    options_file.RELEASE = node_state.RELEASE = RELEASE  # type: ignore[attr-defined]
    if kind == "node state":
        node_state.FORMAT = 2  # type: ignore[attr-defined]
        NodeState(Env(), directory).close()
        return

    if kind != "none":
        module = envelope if kind == "backup" else MODULES[kind]
        module.VERSION = 2  # type: ignore[attr-defined]
    with replicad.open(directory / "database" if kind == "backup" else directory) as database:
        database.put(b"in a table", b"1")
        database.flush()
        database.put(b"in the log", b"2")
        if kind == "backup":
            replicad.BackupEngine(directory / "backups").create_backup(database)


def serve(arguments: list[str]) -> int:
    from replicad.cli.main import main

    identify.VERSIONS = (2,)
    identify.SOFTWARE = f"replicad/{RELEASE}"
    return main(arguments)


if __name__ == "__main__":
    if sys.argv[1] == "wire":
        sys.exit(serve(sys.argv[2:]))
    write(sys.argv[1], Path(sys.argv[2]))
