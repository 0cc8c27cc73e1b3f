"""`replicad link`: links between primaries of different databases."""

from __future__ import annotations

import json as codec
from typing import Annotated, Any

import typer

from replicad.cli.arguments import JsonOption, NodeArgument

links = typer.Typer(
    rich_markup_mode=None,
    help="Links: primaries of different databases take each other's writes; the last writer wins.",
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What the link is called on NODE.")]


def register(app: typer.Typer) -> None:
    app.add_typer(links, name="link")


@links.command(
    "add",
    help="""\
    Link families of a primary with those of another one, which is the source.

    All that the source holds comes first: it wins where both have a key, and what NODE has alone goes to all
    others. Then what is written there comes as it is written. For two ways, add a link on each side.
    """,
    epilog="""\
\b
Examples:
  replicad link add :6380 paris 10.0.0.1:6381
  replicad link add :6380 paris 10.0.0.1:6381 --family default --family sessions""",
)
def add(
    node: NodeArgument,
    name: NameArgument,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The replication address of the other primary.")
    ],
    family: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A column family; may be given again.  [default: default]"),
    ] = None,
) -> None:
    words = [word for each in family or () for word in ("FAMILY", each)]
    _call(node, "ADD", name, source, *words)
    print(f"{name} is added: replicad link list {node} shows how far it is")


@links.command(
    "list",
    help="""\
    The links of a node: those that it follows (in), and those that it serves (out).

    streaming: it takes what is written there. seeding: all data of the source comes first. waiting: it tries
    again by itself. stopped: it needs somebody, and says why. paused: until it is resumed.
    """,
    epilog="\b\nExample:\n  replicad link list :6380",
)
def list_links(node: NodeArgument, json: JsonOption = False) -> None:
    from replicad.cli.document import print_rows
    from replicad.cli.output import print_json

    rows: list[dict[str, Any]] = codec.loads(_call(node, "LIST"))
    if json:
        print_json(rows)
    elif rows:
        print_rows(rows, 0)
    else:
        print("no links")


@links.command("pause", help="Merge nothing more of a link, until it is resumed.")
def pause(node: NodeArgument, name: NameArgument) -> None:
    _call(node, "PAUSE", name)
    print(f"{name} is paused: the source keeps its log for it, within the limits of slots")


@links.command("resume", help="Go on with a link where it was paused.")
def resume(node: NodeArgument, name: NameArgument) -> None:
    _call(node, "RESUME", name)
    print(f"{name} goes on")


@links.command("seed", help="Have all data of a link's source come again, and then its log.")
def seed(node: NodeArgument, name: NameArgument) -> None:
    _call(node, "SEED", name)
    print(f"{name} is seeded again")


@links.command("remove", help="End a link. What came over it stays.")
def remove(node: NodeArgument, name: NameArgument) -> None:
    _call(node, "REMOVE", name)
    print(f"{name} is removed; replicad slot drop lets go of the log that its source keeps")


def _call(node: str, *words: str) -> bytes:
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client

    target = parse_node_address(node)
    with Client(target.host, target.port, access=target.access, timeout_seconds=60.0) as client:
        answer: bytes = client.call("REPLICAD.LINK", *words)
    return answer
