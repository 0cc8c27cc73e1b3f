"""`replicad promote`."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command(
        help="""Make a replica the primary.

    It begins a new epoch; the former primary is fenced when it hears of that, saves what the new
    primary lacks, and follows. Refuses when it would lose writes that the old primary acknowledged, and when
    that primary answers: replicad switchover then loses nothing.
    """,
        epilog="""\
\b
Examples:
  replicad promote :6390                the primary is dead: this replica takes its place
  replicad promote :6390 --force        it lives, or had more: fence it, give that up""",
    )(promote)


def promote(
    node: Annotated[str, typer.Argument(metavar="NODE", help="HOST:PORT of a running replica.")],
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Promote although writes are lost (it says which) or its primary still answers."
        ),
    ] = False,
) -> None:
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client

    target = parse_node_address(node)
    with Client(target.host, target.port, access=target.access, timeout_seconds=60.0) as client:
        reply = client.call("REPLICAD.PROMOTE", *(["FORCE"] if force else []))
        status = client.call("REPLICAD.POSITION").decode()
    print(f"{client.address} is the primary, at {status}")
    if isinstance(reply, bytes) and reply != b"OK":
        print(reply.decode())
