"""`replicad rejoin`."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command(
        help="""Have a replica give up its history for that of its primary.

    For one that has diverged, which follows nobody by itself. What it has in its log and the other may lack
    is saved in discarded/ (replicad inspect reads it); then it fetches all data, and serves the old until
    that is there.
    """,
        epilog="""\
\b
Examples:
  replicad rejoin :6390                 its primary has another history: follow that one
  replicad rejoin :6390 :6380           the same, of another primary""",
    )(rejoin)


def rejoin(
    node: Annotated[str, typer.Argument(metavar="NODE", help="HOST:PORT of a running replica.")],
    primary: Annotated[
        str | None,
        typer.Argument(
            metavar="PRIMARY",
            help="The node to follow: its client or replication address.",
            show_default=False,
        ),
    ] = None,
) -> None:
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client

    target = parse_node_address(node)
    arguments: list[str | int] = []
    if primary is not None:
        followed = parse_node_address(primary)
        arguments = [followed.host, followed.port]
    with Client(target.host, target.port, access=target.access, timeout_seconds=600.0) as client:
        reply = client.call("REPLICAD.REJOIN", *arguments)
    print(f"{client.address} fetches its data anew; {reply.decode()}")
