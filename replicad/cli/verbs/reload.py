"""`replicad reload`."""

from __future__ import annotations

import typer

from replicad.cli.arguments import JsonOption, NodeArgument


def register(app: typer.Typer) -> None:
    app.command(
        help="""Have a node read its configuration again.

    It takes over what can change at run time, and names the keys that changed and need a restart. A
    configuration that is wrong changes nothing: the node goes on with the old one, and this says why. SIGHUP
    does the same, and the answer is in the log.
    """,
        epilog="""\
\b
Examples:
  replicad reload :6380
  replicad config check node.toml && replicad reload :6380           systemctl reload does the same""",
    )(reload)


def reload(node: NodeArgument, json: JsonOption = False) -> None:
    import json as codec

    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client
    from replicad.cli.output import print_json

    target = parse_node_address(node)
    with Client(target.host, target.port, access=target.access, timeout_seconds=60.0) as client:
        found = codec.loads(client.call("REPLICAD.RELOAD"))
    if json:
        print_json(found)
        return
    for key in found["changed"]:
        print(f"{key} changed")
    for key in found["needs_restart"]:
        print(f"{key} needs a restart")
    if not found["changed"] and not found["needs_restart"]:
        print("nothing changed")
