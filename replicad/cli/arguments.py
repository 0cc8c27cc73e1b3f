"""Arguments that several verbs share, and how moments are written."""

from __future__ import annotations

from typing import Annotated

import typer

from replicad import units
from replicad.errors import InvalidArgument, UsageError

NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="HOST:PORT of a running node, or a data directory.")
]
NodesArgument = Annotated[
    list[str], typer.Argument(metavar="NODE", help="HOST:PORT of running nodes, or data directories.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="How long a node may take to answer.", min=0.01)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def parse_time(text: str) -> int:
    """Microseconds since 1970; without a zone the time is UTC.

    >>> parse_time("1970-01-01T00:00:01.5Z")
    1500000
    """
    try:
        return units.parse_time(text)
    except InvalidArgument as error:
        raise UsageError(str(error)) from None
