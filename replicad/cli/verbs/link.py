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

    SOURCE may name several nodes of the other site, with commas between: after a failover there the link goes
    on with the new primary.
    """,
    epilog="""\
\b
Examples:
  replicad link add :6380 paris 10.0.0.1:6381
  replicad link add :6380 paris 10.0.0.1:6381,10.0.0.2:6381 --family default --family sessions
  replicad link add :6380 paris 10.0.0.1:6381 --prefix eu: --keep-losers 86400""",
)
def add(
    node: NodeArgument,
    name: NameArgument,
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="The replication address of the other primary, or several."),
    ],
    family: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A column family; may be given again.  [default: default]"),
    ] = None,
    prefix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX", help=r"Only keys that begin so, such as eu: or \xff; may be given again."
        ),
    ] = None,
    keep_losers: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="Keep writes that lose for this long, for `link conflicts`."
        ),
    ] = 0.0,
) -> None:
    from replicad.cli.output import read_bytes

    words: list[str | bytes] = [word for each in family or () for word in ("FAMILY", each)]
    words += [word for each in prefix or () for word in ("PREFIX", read_bytes(each))]
    if keep_losers:
        words += ["KEEPLOSERS", str(keep_losers)]
    _call(node, "ADD", name, source, *words)
    print(f"{name} is added: replicad link list {node} shows how far it is")


@links.command(
    "list",
    help="""\
    The links of a node: those that it follows (in), and those that it serves (out).

    streaming: it takes what is written there. seeding: all data of the source comes first. waiting: it tries
    again by itself. stopped: it needs somebody, and says why. paused: until it is resumed. standby: this node
    is not the primary, which follows it.
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
        print_rows([_shown_link(row) for row in rows], 0)
    else:
        print("no links")


def _shown_link(row: dict[str, Any]) -> dict[str, Any]:
    """What fits on a line; `link show` has the rest."""
    carries = [*row["families"], *(f"{_shown(prefix)}*" for prefix in row["prefixes"])]
    return {
        "name": row["name"],
        "direction": row["direction"],
        "other": row.get("address") or row["source"],
        "carries": ", ".join(carries) or "all that is linked",
        "state": row["state"],
        "behind": row.get("lag_sequences"),
        "reason": row["reason"] or row.get("not_configured"),
    }


@links.command(
    "show",
    help="What is known of one link that a node follows.",
    epilog="\b\nExample:\n  replicad link show :6380 paris",
)
def show(node: NodeArgument, name: NameArgument, json: JsonOption = False) -> None:
    from replicad.cli.document import print_document
    from replicad.cli.output import print_json

    row = codec.loads(_call(node, "SHOW", name))
    if json:
        print_json(row)
    else:
        print_document(row | {"prefixes": [_shown(each) for each in row["prefixes"]]})


@links.command(
    "conflicts",
    help="""\
    Writes that came over links and lost, the newest first.

    Of two writes to one key that did not know of each other the later one stays everywhere. Where the earlier
    one met it, it is kept for as long as the link says (--keep-losers, keep_losers_seconds).
    """,
    epilog="\b\nExample:\n  replicad link conflicts :6380 paris --count 20",
)
def conflicts(
    node: NodeArgument,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only those of this link.")] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="How many at most.")] = 100,
    json: JsonOption = False,
) -> None:
    from replicad.cli.document import print_rows
    from replicad.cli.output import print_json

    words = [] if name is None else [name]
    rows: list[dict[str, Any]] = codec.loads(_call(node, "CONFLICTS", *words, "COUNT", str(count)))
    if json:
        print_json(rows)
    elif rows:
        print_rows([_shown_conflict(row) for row in rows], 0)
    else:
        print("no conflicts are kept")


def _shown_conflict(row: dict[str, Any]) -> dict[str, Any]:
    from replicad.units import show_time

    return {
        "arrived": show_time(row["arrived_us"]),
        "link": row["link"],
        "family": row["family"],
        "key": _shown(row["key"]),
        "lost": "a deletion" if row["value"] is None else _shown(row["value"]),
    }


def _shown(text: str) -> str:
    """Bytes, as the node's JSON has them."""
    from replicad.cli.output import show_bytes

    return show_bytes(text.encode("utf-8", "surrogateescape"))


@links.command(
    "members",
    help="The databases that are linked, as a node knows them: how far each is there.",
    epilog="\b\nExample:\n  replicad link members :6380",
)
def members(node: NodeArgument, json: JsonOption = False) -> None:
    from replicad.cli.document import print_rows
    from replicad.cli.output import print_json

    rows: list[dict[str, Any]] = codec.loads(_call(node, "MEMBERS"))
    if json:
        print_json(rows)
    elif rows:
        print_rows(rows, 0)
    else:
        print("no databases are linked")


@links.command(
    "forget",
    help="""\
    Wait no longer for a database whose primary is gone for good.

    Stamps of deleted keys stay until every database that is linked was heard of. Remove the links from it
    first, and forget it on each primary.
    """,
    epilog="\b\nExample:\n  replicad link forget :6380 0f4ca1b2…",
)
def forget(
    node: NodeArgument,
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="Its id, as `link members` shows it.")],
) -> None:
    _call(node, "FORGET", database)
    print(f"{database} is forgotten")


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
    row = codec.loads(_call(node, "SHOW", name))
    _call(node, "REMOVE", name)
    print(f"{name} is removed; replicad slot drop lets go of the log that its source keeps")
    if row.get("configured"):
        print(f"[links.{name}] stands in the configuration: take it out there, or the link comes back")


def _call(node: str, *words: str | bytes) -> bytes:
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.client import Client

    target = parse_node_address(node)
    with Client(target.host, target.port, access=target.access, timeout_seconds=60.0) as client:
        answer: bytes = client.call("REPLICAD.LINK", *words)
    return answer
