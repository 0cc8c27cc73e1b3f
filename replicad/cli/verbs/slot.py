"""`replicad slot list` and `replicad slot drop`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from replicad.cli.arguments import JsonOption, NodeArgument

_COLUMNS = {
    "node_id": "node_id",
    "name": "name",
    "slot": "state",
    "durable_sequence": "sequence",
    "slot_retained_bytes": "retained_bytes",
    "slot_safe_bytes": "safe_bytes",
    "slot_exhausted_in_seconds": "exhausted_in_seconds",
    "away_seconds": "away_seconds",
    "slot_reason": "reason",
}
"""Of a replica in the status document, as the list calls them."""

slots = typer.Typer(rich_markup_mode=None, help="The log that a node keeps for its replicas.")


def register(app: typer.Typer) -> None:
    app.add_typer(slots, name="slot")


@slots.command(
    "list",
    help="""\
    The slots of a node: state, log held, and how long that can go on.

    reserved: within what is kept anyway. extended: beyond it, within its cap. unreserved: it let go, and its
    replica can still go on while the files are there. lost: they are gone, the replica needs a new copy.
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
    "drop",
    help="""\
    Let go of the log that is kept for a replica, and forget it: for one that is gone for good.

    A replica that is connected is cut off, and gets a new slot when it connects again; one that comes back
    after its log is gone needs a new copy. A node that is forgotten is not asked, and not waited for, when
    another is promoted.
    """,
    epilog="\b\nExample:\n  replicad slot drop :6380 paris-2",
)
def drop(
    node: NodeArgument,
    replica: Annotated[
        str, typer.Argument(metavar="REPLICA", help="Its name, its node id, or the beginning of that.")
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
    return [
        {title: row.get(name) for name, title in _COLUMNS.items()}
        for row in document.get("replicas", [])
        if row.get("slot") is not None
    ]
