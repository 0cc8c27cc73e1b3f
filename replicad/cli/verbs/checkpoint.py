"""`replicad checkpoint`."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Annotated

import typer

from replicad.cli.arguments import JsonOption, NodeArgument


def register(app: typer.Typer) -> None:
    app.command(
        help="""Make a copy on the same machine, at one exact position.

    DEST opens as a database of its own. Made of hard links where DEST is on the same file system, so it
    costs no space at first. A running node makes it without pausing; DEST is a path on the node's machine
    and must not exist.
    """,
        epilog="""\
\b
Examples:
  replicad checkpoint :6380 /srv/copies/monday
  replicad checkpoint /var/lib/replicad/primary /srv/copies/monday   (its daemon must be down)""",
    )(checkpoint)


def checkpoint(
    node: NodeArgument,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A directory that does not exist yet.")],
    json: JsonOption = False,
) -> None:
    from replicad.cli.nodes.node import LiveNode, open_node
    from replicad.cli.output import print_json

    absolute = destination.absolute()
    with contextlib.closing(open_node(node)) as opened:
        if isinstance(opened, LiveNode):
            opened.client.set_timeout(None)
            position = opened.client.call("REPLICAD.CHECKPOINT", str(absolute)).decode()
        else:
            position = _of_directory(Path(node), absolute)
    if json:
        print_json({"path": str(absolute), "position": position})
    else:
        print(f"{absolute} at {position}")


def _of_directory(directory: Path, destination: Path) -> str:
    from replicad.cli.nodes.offline import open_as_it_is
    from replicad.errors import ReadOnlyError

    try:
        database = open_as_it_is(directory)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise ReadOnlyError(
            f"{directory} is on a file system that is mounted read-only, and a checkpoint has to lock it: "
            f"replicad backup create --data {directory} TARGET reads it as it is, and backup restore "
            f"makes a database of that"
        ) from error
    with contextlib.closing(database):
        return str(database.create_checkpoint(destination).position)
