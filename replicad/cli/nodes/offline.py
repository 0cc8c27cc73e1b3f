"""What a data directory says of its node, without asking the node."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replicad.env import Env, LocalFileSystem
from replicad.errors import ConfigError, CorruptionError, NotFoundError
from replicad.options import Options

if TYPE_CHECKING:
    from replicad.store.database import Database


def options_of(directory: Path) -> Options | None:
    """What the node opened it with last, so that its log is found where it is; None when it does not say.

    A damaged file does not keep the data from being read, as it does not keep the node from starting; only
    where the log lies elsewhere nothing else says where. Raises ConfigError and CorruptionError then.
    """
    from replicad.cli.output import print_error
    from replicad.store.directory.options_file import load_latest_options
    from replicad.store.wal.segment import is_segment_name

    try:
        return load_latest_options(directory)[0]
    except NotFoundError:
        return None
    except (ConfigError, CorruptionError) as error:
        fs = LocalFileSystem()
        if not any(map(is_segment_name, fs.list(directory / "wal"))):
            raise
        print_error(f"{error}; the defaults are taken")
        return None


def open_as_it_is(directory: Path) -> Database:
    """The database of a node that is down, in its own role, so that the directory stays what it is."""
    from replicad.store.database import open_database
    from replicad.store.manifest.file import load

    copy = load(LocalFileSystem(), directory).copy
    return open_database(directory, options_of(directory), role="replica" if copy else "owner")


def is_in_use(directory: Path) -> bool:
    """Whether a process of this machine holds the directory. It is not locked to find out: a daemon that
    starts at that moment would be refused."""
    from replicad.state.node import DIRECTORY

    held = set()
    for file in (directory / DIRECTORY / "daemon.lock", directory / "LOCK"):
        with contextlib.suppress(OSError):
            held.add(str(file.stat().st_ino))

    # 1: FLOCK  ADVISORY  WRITE 4711 08:01:131090 0 EOF
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return False
    return any(
        words[1] == "FLOCK" and words[5].rpartition(":")[2] in held for words in locks if len(words) > 5
    )


def directory_status(directory: Path) -> dict[str, Any]:
    """A status document from LMDB and the manifest, whether the daemon runs or is down.

    `shown` is what the node last showed of itself, `manifest` what its tables hold. Raises NotFoundError
    when the directory holds neither.
    """
    from replicad.state import NodeState
    from replicad.store.manifest.file import load
    from replicad.units import show_time

    document: dict[str, Any] = {"directory": str(directory), "in_use": is_in_use(directory)}
    try:
        view = NodeState.read(directory)
    except NotFoundError:
        view = None
    if view is not None:
        document["node_id"] = view.identity.node_id.hex()
        if (shown := view.shown) is not None:
            document |= {
                "role": shown.role,
                "position": shown.position,
                "primary": shown.primary_address,
                "link": shown.link,
                "shown_at": show_time(shown.at_us),
            }
        if (bootstrap := view.bootstrap) is not None:
            document["bootstrap"] = {
                "position": bootstrap.position,
                "files": bootstrap.files,
                "files_total": bootstrap.files_total,
                "size_bytes": bootstrap.size_bytes,
                "size_bytes_total": bootstrap.size_bytes_total,
                "started": show_time(bootstrap.started_us),
            }
        document["slots"] = [
            {
                "node_id": slot.node_id.hex(),
                "name": slot.name,
                "kind": "feed" if slot.is_feed else "replica",
                "sequence": slot.sequence,
                "seen": show_time(slot.seen_us),
                "away_seconds": slot.idle_seconds,
                "reason": slot.invalid,
            }
            for slot in view.slots
        ]
    try:
        state = load(LocalFileSystem(), directory)
    except NotFoundError:
        if view is None:
            raise
        return document
    document["database_id"] = state.database_id.hex()
    document["manifest"] = {
        "flushed": str(state.flushed),
        "tables": len(state.tables),
        "size_bytes": sum(table.size_bytes for table in state.tables),
    }
    return document


def drop_slot(directory: Path, node_id: bytes) -> None:
    """Of a node whose daemon is down; raises LockedError when it runs."""
    from replicad.daemon.records import locked_state

    with locked_state(Env(), directory) as state:
        state.remove_slot(node_id)
        state.remove_peer(node_id)
