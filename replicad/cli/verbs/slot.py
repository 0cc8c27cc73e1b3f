"""`replicad slot list`, `create` and `drop`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from replicad.cli.arguments import JsonOption, NodeArgument

_COLUMNS = {
    "node_id": "node_id",
    "name": "name",
    "kind": "kind",
    "slot": "state",
    "durable_sequence": "sequence",
    "slot_retained_bytes": "retained_bytes",
    "slot_safe_bytes": "safe_bytes",
    "slot_exhausted_in_seconds": "exhausted_in_seconds",
    "away_seconds": "away_seconds",
    "slot_reason": "reason",
}
"""Of a replica or a feed in the status document, as the list calls them."""

slots = typer.Typer(rich_markup_mode=None, help="The log that a node keeps for replicas and change feeds.")


def register(app: typer.Typer) -> None:
    app.add_typer(slots, name="slot")


@slots.command(
    "list",
    help="""\
    The slots of a node: state, log held, and how long that can go on.

    reserved: within what is kept anyway. extended: beyond it, within its cap. unreserved: it let go, and its
    replica can still go on while the files are there. lost: they are gone, the replica needs a new copy. A
    slot is of a replica, or of a change feed (replicad updates --slot).
    """,
    epilog="""\
\b
Examples:
  replicad slot list :6380
  replicad slot list /var/lib/replicad/primary      its daemon may be down""",
)
def list_slots(node: NodeArgument, json: JsonOption = False) -> None:
    from replicad.cli.document import print_rows
    from replicad.cli.output import print_json

    rows = _rows(node)
    if json:
        print_json(rows)
    elif rows:
        print_rows(rows, 0)
    else:
        print("no slots")


@slots.command(
    "create",
    help="""\
    Make the slot of a change feed: the log stays for its reader, from the end of the log on.

    Prints the position of the slot. The reader goes on after it: replicad updates NODE --follow --slot NAME.
    """,
    epilog="""\
\b
Examples:
  replicad slot create :6380 search
  replicad slot create :6380 search --since 1      from the beginning, if the log still has it""",
)
def create(
    node: NodeArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, `_`, `.`, `-`; at most 64.")],
    since: Annotated[
        str | None,
        typer.Option(metavar="N", help="From the batch that holds N on, or from after a position."),
    ] = None,
) -> None:
    from replicad.cli.nodes.node import LiveNode, open_node
    from replicad.errors import LogGoneError, ReplyError, UsageError

    with contextlib.closing(open_node(node)) as opened:
        if not isinstance(opened, LiveNode):
            raise UsageError("a slot is made at a running node, and this is a directory")
        where = [] if since is None else ["AFTER" if ":" in since else "SINCE", since]
        try:
            print(opened.client.call("REPLICAD.SLOT", "CREATE", name, *where).decode())
        except ReplyError as error:
            if error.code != "LOGGONE":
                raise
            first = int(str(error).split()[1])
            raise LogGoneError(first - 1, first) from None


@slots.command(
    "drop",
    help="""\
    Let go of the log that is kept for a replica or a feed, and forget it: for one that is gone for good.

    A replica that is connected is cut off, and gets a new slot when it connects again; one that comes back
    after its log is gone needs a new copy. A node that is forgotten is not asked, and not waited for, when
    another is promoted.
    """,
    epilog="\b\nExample:\n  replicad slot drop :6380 paris-2",
)
def drop(
    node: NodeArgument,
    replica: Annotated[
        str, typer.Argument(metavar="SLOT", help="Its name, its id, or the beginning of that.")
    ],
) -> None:
    from replicad.cli.nodes.node import LiveNode, open_node
    from replicad.cli.nodes.offline import drop_slot
    from replicad.errors import NotFoundError, UsageError

    rows = [*_rows(node), *_peers(node)]
    found = {row["node_id"] for row in rows if replica == row["name"] or row["node_id"].startswith(replica)}
    if not found:
        raise NotFoundError(f"no slot is called {replica}; replicad slot list and status show them")
    if len(found) > 1:
        raise UsageError(f"{replica!r} names {len(found)} nodes; replicad slot list and status show them")
    (node_id,) = found
    with contextlib.closing(open_node(node)) as opened:
        if isinstance(opened, LiveNode):
            opened.client.call("REPLICAD.SLOT", "DROP", node_id)
        else:
            drop_slot(Path(node), bytes.fromhex(node_id))
    print(f"dropped {node_id}")


def _peers(node: str) -> list[dict[str, Any]]:
    """The nodes that a running node knows, by their addresses. One that is gone may have no slot."""
    from replicad.cli.nodes.node import open_node

    with contextlib.closing(open_node(node)) as opened:
        peers = opened.status().get("peers", [])
    return [
        {"node_id": peer["node_id"], "name": peer[address]}
        for peer in peers
        for address in ("clients", "replication")
    ]


def _rows(node: str) -> list[dict[str, Any]]:
    from replicad.cli.nodes.node import open_node

    with contextlib.closing(open_node(node)) as opened:
        document = opened.status()
    if "slots" in document:
        return list(document["slots"])
    feeds = [
        {"kind": "feed", "durable_sequence": row["acknowledged_sequence"], **row}
        for row in document.get("feeds", [])
    ]
    return [
        {title: row.get(name) for name, title in _COLUMNS.items()}
        for row in [*({"kind": "replica", **row} for row in document.get("replicas", [])), *feeds]
        if row.get("slot") is not None
    ]
