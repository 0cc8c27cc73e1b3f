"""`replicad init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command(
        help="""Make the directory of a new node, without data yet.

    A primary makes a database by itself only where its directory does not exist, or was made by this: an
    empty directory that is there already may be a disk that is not mounted.
    """,
        epilog="""\
\b
Examples:
  replicad init /var/lib/replicad/primary
  sudo -u replicad replicad init /var/lib/replicad/primary      before the unit is started first""",
    )(init)


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")],
) -> None:
    from replicad.daemon.process.new_directory import make_node
    from replicad.env import Env

    print(f"{directory} is the directory of node {make_node(Env(), directory).hex()}")
