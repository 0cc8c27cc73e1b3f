"""`replicad verify`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from replicad.cli.arguments import JsonOption, NodesArgument

if TYPE_CHECKING:
    from replicad.cli.node import Node


def register(app: typer.Typer) -> None:
    app.command(
        epilog="""\
\b
Examples:
  replicad verify :6380 :6390
  replicad verify :6380 :6390 /srv/copies/monday --timeout 600 --json"""
    )(verify)


def verify(
    nodes: NodesArgument,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for one sequence number.")
    ] = 60.0,
    json: JsonOption = False,
) -> None:
    """Whether nodes hold the same data at one sequence number.

    Waits until the nodes stand at one sequence number: while a replica catches up, or until writers pause.
    Exits with 0 when all digests are equal, with 4 and the first difference when they are not, and with 1
    when they could not be compared in time.
    """
    from replicad.cli.comparison import agreed_digest, first_difference
    from replicad.cli.exits import DifferentError, UsageError
    from replicad.cli.node import open_node
    from replicad.cli.output import print_json

    if len(nodes) < 2:
        raise UsageError("verify compares two nodes or more")
    with contextlib.ExitStack() as stack:
        opened: list[Node] = [stack.enter_context(contextlib.closing(open_node(node))) for node in nodes]
        result = agreed_digest(opened, timeout)
        difference = None if result.equal else first_difference(opened)
    if json:
        print_json(
            {
                "equal": result.equal,
                "sequence": result.sequence,
                "digests": {node.name: digest for node, digest in zip(opened, result.digests, strict=True)},
                "first_difference": difference,
            }
        )
    if not result.equal:
        raise DifferentError(f"the nodes differ at sequence number {result.sequence}: {difference}")
    if not json:
        print(f"equal at sequence number {result.sequence}: {result.digests[0]}")
