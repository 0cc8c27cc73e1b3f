"""`replicad status`."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer

from replicad.cli.arguments import JsonOption, NodesArgument

_COLUMNS = (
    *("node_id", "name", "address", "state", "applied_sequence", "durable_sequence"),
    *("lag_sequences", "lag_bytes", "lag_seconds", "slot", "waits_for"),
)
"""Of a replica, as its primary sees it."""
_VERIFICATION = ("result", "doubt", "refuses_reads", "repairs", "quarantined", "age_seconds")


def register(app: typer.Typer) -> None:
    app.command(
        help="""What nodes are doing, and what they wait for.

    A running node answers itself. Of a data directory it shows what the node last wrote there about itself,
    and when. Exits with 3 when a node cannot be reached; the others are shown all the same.
    """,
        epilog="""\
\b
Examples:
  replicad status :6380 :6390
  replicad status /var/lib/replicad/replica        its daemon may be down
  replicad status :6380 --json | jq .[0].position""",
    )(status)


def status(
    nodes: NodesArgument,
    full: Annotated[
        bool, typer.Option("--full", help="Also show what is empty, and what the store counts.")
    ] = False,
    json: JsonOption = False,
) -> int:
    from replicad.cli.document import print_document
    from replicad.cli.exits import OK, exit_code
    from replicad.cli.nodes.node import open_node
    from replicad.cli.output import print_error, print_json
    from replicad.errors import UnreachableError

    code = OK
    documents: list[dict[str, Any]] = []
    for name in nodes:
        try:
            with contextlib.closing(open_node(name)) as opened:
                document = {"node": opened.name} | opened.status()
        except UnreachableError as error:
            print_error(str(error))
            document, code = {"node": name, "error": str(error)}, exit_code(error)
        documents.append(document)
        if not json and "error" not in document:
            if len(documents) > 1:
                print()
            print_document(document if full else _brief(document))
    if json:
        print_json(documents)
    return code


def _brief(document: dict[str, Any]) -> dict[str, Any]:
    """Without what only a closer look needs, and without what says nothing."""
    brief = {name: value for name, value in document.items() if name != "store"}
    if "verification" in brief:
        brief["verification"] = _only(_VERIFICATION, brief["verification"])
    brief = {name: told for name, value in brief.items() if (told := _told(value)) is not None}
    if "replicas" in document:
        rows = [_only(_COLUMNS, row) for row in document["replicas"]]
        brief["replicas"] = [row | {"node_id": str(row["node_id"])[:12]} for row in rows]
    return brief


def _only(names: tuple[str, ...], document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def _told(value: Any) -> Any:
    """The value without those of its parts that are unknown or empty; None when nothing is left."""
    if isinstance(value, dict):
        value = {name: told for name, part in value.items() if (told := _told(part)) is not None}
    return None if value in ("", [], {}) else value
