"""`replicad replica-pause` and `replicad replica-resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from replicad.cli.arguments import JsonOption

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="HOST:PORT of a running replica.")]


def register(app: typer.Typer) -> None:
    _register_pause(app)
    _register_resume(app)


def _register_pause(app: typer.Typer) -> None:
    app.command(
        "replica-pause",
        help="""Have a replica stand still: it receives, and applies nothing more.

    At once, or with --at exactly after the last batch through a sequence number or commit time. The pause
    outlives restarts. What comes meanwhile is kept durably, up to apply_delay_bytes_max. A point that is
    applied already is refused.
    """,
        epilog="""\
\b
Examples:
  replicad replica-pause :6390                               now
  replicad replica-pause :6390 --at 2026-03-01T14:04:59Z     before a mistake at 14:05
  replicad replica-pause :6390 --at 48211                    through that sequence number""",
    )(replica_pause)


def _register_resume(app: typer.Typer) -> None:
    app.command(
        "replica-resume",
        help="""Have a replica apply again what it received.

    Everything that is due by apply_delay_seconds; without a delay, all of it.
    """,
        epilog="""\
\b
Examples:
  replicad replica-resume :6390         go on after a pause""",
    )(replica_resume)


def replica_pause(
    node: NodeArgument,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="SEQUENCE|TIME",
            help="The last batch to apply: a sequence number, or a commit time as 2026-03-01T12:00:00Z.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    import json

    from replicad.cli.arguments import parse_time
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client
    from replicad.units import show_time

    if at is not None and not at.isdigit():
        parse_time(at)  # Before the node is asked: a typing error is found here.
    target = parse_node_address(node)
    with Client(target.host, target.port, access=target.access, timeout_seconds=60.0) as client:
        point = json.loads(client.call("REPLICAD.REPLICA", "PAUSE", *([] if at is None else ["AT", at])))
    if as_json:
        print(json.dumps(point))
        return
    where = (
        f"sequence number {point['sequence']}" if point["time_us"] is None else show_time(point["time_us"])
    )
    print(f"{client.address} is paused at {where}; it has applied through {point['applied_sequence']}")


def replica_resume(node: NodeArgument) -> None:
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client

    target = parse_node_address(node)
    with Client(target.host, target.port, access=target.access, timeout_seconds=60.0) as client:
        was_paused = client.call("REPLICAD.REPLICA", "RESUME")
    print(f"{client.address} {'applies again' if was_paused else 'was not paused'}")
