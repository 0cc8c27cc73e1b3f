"""`replicad switchover`."""

from __future__ import annotations

from typing import Annotated

import typer

from replicad.cli.arguments import NodeArgument


def register(app: typer.Typer) -> None:
    app.command(
        help="""Hand the primary's role to a replica, without losing a write.

    NODE is the primary. Its writes wait until the replica has all of them and has taken over; then clients
    are told where it is, and the old primary follows. When the time runs out before that, everything is as it
    was.
    """,
        epilog="""\
\b
Examples:
  replicad switchover :6380 --to :6390
  replicad switchover :6380 --to paris-2 --timeout 3""",
    )(switchover)


def switchover(
    node: NodeArgument,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="REPLICA",
            help="Client address, name, or beginning of the id of a replica.  [default: the nearest]",
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, help="Give up after this long.")
    ] = None,
) -> None:
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client

    target = parse_node_address(node)
    with Client(
        target.host, target.port, access=target.access, timeout_seconds=(timeout or 60.0) + 30.0
    ) as client:
        arguments: list[str | int] = []
        if to is not None:
            arguments += ["TO", f"127.0.0.1{to}" if to.startswith(":") else to]
        if timeout is not None:
            arguments += ["TIMEOUT", max(1, round(timeout * 1000))]
        primary = client.call("REPLICAD.SWITCHOVER", *arguments).decode()
    print(f"{primary} is the primary; {client.address} follows it")
