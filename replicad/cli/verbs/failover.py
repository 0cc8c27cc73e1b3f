"""`replicad failover`: the automatic failover, as etcd shows it, and what an operator orders about it."""

from __future__ import annotations

import json as codec
from typing import Annotated, Any

import typer

from replicad.cli.arguments import JsonOption, NodeArgument

failovers = typer.Typer(
    rich_markup_mode=None,
    help="Automatic failover: who leads, who would be next, and how to pause it (docs/failover.md).",
)


def register(app: typer.Typer) -> None:
    app.add_typer(failovers, name="failover")


@failovers.command(
    "status",
    help="""\
    The cluster as one picture: who leads, and who would lead next.

    NODE may be any node of the cluster. The members are in the order in which they would lead; one that may
    not says why.
    """,
    epilog="""\
\b
Examples:
  replicad failover status :6380
  replicad failover status :6380 --json | jq .cluster""",
)
def status(node: NodeArgument, json: JsonOption = False) -> None:
    from replicad.cli.health.cluster import cluster_lines
    from replicad.cli.output import print_json
    from replicad.cli.terminal import print_lines

    document: dict[str, Any] = codec.loads(_call(node, "STATUS"))
    if json:
        print_json(document)
    else:
        print_lines(cluster_lines(document))


@failovers.command(
    "pause",
    help="""\
    Have nobody promoted automatically, as for work on etcd or on the network.

    The leader leads on. replicad switchover and replicad promote still do what they are told. It lasts until
    it is ended, through restarts of all nodes.
    """,
    epilog="\b\nExample:\n  replicad failover pause :6380",
)
def pause(node: NodeArgument) -> None:
    changed = _call(node, "PAUSE")
    print("failover is paused" if changed else "failover was paused already")


@failovers.command("resume", help="End a pause.", epilog="\b\nExample:\n  replicad failover resume :6380")
def resume(node: NodeArgument) -> None:
    changed = _call(node, "RESUME")
    print("failover goes on" if changed else "failover was not paused")


@failovers.command(
    "remove",
    help="""\
    Count a node no more that will not come back.

    A node that is away stays a member: a leader that etcd does not answer waits for it, and it counts when
    promises are asked for. This ends that. A node that runs has to be ended first.
    """,
    epilog="\b\nExample:\n  replicad failover remove :6380 ce193835e4b5",
)
def remove(
    node: NodeArgument,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="Its id, or the beginning of that.")],
) -> None:
    # Only the leader can: it alone knows what the others hold.
    leader = (codec.loads(_call(node, "STATUS")).get("cluster") or {}).get("leader")
    _call(node if leader is None else leader["clients"], "REMOVE", member)
    print(f"{member} is a member no more")


def _call(node: str, *words: str) -> Any:
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client

    target = parse_node_address(node)
    with Client(target.host, target.port, access=target.access, timeout_seconds=60.0) as client:
        return client.call("REPLICAD.FAILOVER", *words)
