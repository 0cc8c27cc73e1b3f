"""Whether a node may make a new database in its data directory.

A disk that is not mounted looks like an empty directory. A primary that made a database there would take
writes without the data that is on the disk. So it makes one only where the operator said so:

    the directory                                        a primary
    ---------------------------------------------------  ------------------------------------------
    has a database                                       opens it
    does not exist                                       makes it, and a database
    was made by `replicad init`, or a first start that   makes a database
    did not come to its end
    exists, empty or with what is not ours               is refused, unless --create says so
    is of a node that had data                           is refused, unless --create says so
"""

from __future__ import annotations

from pathlib import Path

from replicad.daemon.records import locked_state
from replicad.env import Env, FileSystem
from replicad.errors import ConfigError
from replicad.state.node import DIRECTORY

HINT = "is its disk mounted? replicad init {data} makes a new node there, and so does --create"


def check_new(fs: FileSystem, data: Path, *, create: bool) -> None:
    """Of a primary's directory before anything is made in it; raises ConfigError."""
    if create or not fs.exists(data) or fs.exists(data / "CURRENT") or fs.exists(data / DIRECTORY):
        return
    names = fs.list(data)
    what = f"holds {names[0]!r} and no database" if names else "is empty"
    raise ConfigError(f"data: {data} exists and {what}: {HINT.format(data=data)}")


def check_gone(data: Path, *, had_data: bool, create: bool) -> None:
    """Of a primary whose directory has its state and no database; raises ConfigError."""
    if had_data and not create:
        raise ConfigError(
            f"data: the database of this node is not in {data} any more: {HINT.format(data=data)}"
        )


def make_node(env: Env, data: Path) -> bytes:
    """Makes the directory of a node without data, which a primary makes a database in and a replica fills;
    its node id. Raises ConfigError where there is anything."""
    if env.fs.list(data):
        raise ConfigError(f"{data} is not empty; name a new or empty directory")
    with locked_state(env, data) as state:
        return state.node_id
