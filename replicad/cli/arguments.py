"""Arguments that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="HOST:PORT of a running node, or a data directory.")
]
NodesArgument = Annotated[
    list[str], typer.Argument(metavar="NODE", help="HOST:PORT of running nodes, or data directories.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
