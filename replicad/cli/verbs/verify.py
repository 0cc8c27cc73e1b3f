"""`replicad verify`."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from replicad.cli.arguments import JsonOption, NodesArgument

if TYPE_CHECKING:
    from replicad.cli.nodes.node import NodeClient


def register(app: typer.Typer) -> None:
    app.command(
        help="""Compare nodes: do they hold the same data at one sequence number?

    A primary writes a mark into its log, and every node is compared with it as it was at that very point,
    whatever is written meanwhile. Directories, and nodes without their primary, are compared when they stand
    at one sequence number: while a replica catches up, or until writers pause.

    Primaries of different databases that are linked are compared in the families that are linked, and what
    is on its way is waited for.

    Only digests travel, and the keys that differ, which it prints. Exits with 0 when the nodes are equal,
    with 4 when they are not, and with 1 when they could not be compared in time. A replica that repairs
    itself keeps every file that its primary has as well; `replicad status` shows how far it is.
    """,
        epilog="""\
\b
Examples:
  replicad verify :6380 :6390
  replicad verify :6380 :6390 --repair
  replicad verify :6380 :6390 /srv/copies/monday --timeout 600 --json""",
    )(verify)


def verify(
    nodes: NodesArgument,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for one sequence number.")
    ] = 60.0,
    differences: Annotated[
        int, typer.Option(metavar="N", min=1, help="End the comparison after this many differences.")
    ] = 10,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Have replicas that differ fetch their data again."),
    ] = False,
    json: JsonOption = False,
) -> None:
    from replicad.cli.nodes.comparison import compare_nodes, line_on_terminal, order_repairs, without_late
    from replicad.cli.nodes.linked_comparison import are_linked, compare_linked
    from replicad.cli.nodes.node import open_node
    from replicad.cli.output import print_json
    from replicad.errors import DifferentError, UsageError
    from replicad.units import show_size

    if len(nodes) < 2:
        raise UsageError("verify compares two nodes or more")
    with contextlib.ExitStack() as stack:
        opened: list[NodeClient] = [
            stack.enter_context(contextlib.closing(open_node(name))) for name in nodes
        ]
        for node in opened:
            if sum(other.key == node.key for other in opened) > 1:
                raise UsageError(f"{node.name} is named twice; verify compares different nodes")
        if linked := are_linked(opened, timeout):
            if repair:
                raise UsageError("linked primaries are repaired by a seed: replicad link seed NODE NAME")
            outcome = compare_linked(opened, timeout, differences_max=differences, say=line_on_terminal)
        else:
            opened, late = without_late(opened, timeout)
            if len(opened) < 2:
                text = ", ".join(f"{name} {reason}" for name, reason in late.items())
                raise UsageError(f"verify compares two nodes or more that apply at once: {text}")
            for name, reason in late.items():
                print(f"{name} is left out: it {reason}", file=sys.stderr)
            outcome = compare_nodes(opened, timeout, differences_max=differences)
        repairing = order_repairs(opened, outcome) if repair else []
    if json:
        print_json(
            {
                "equal": outcome.equal,
                "sequence": outcome.sequence,
                "nodes": [node.name for node in opened],
                "compared_bytes": outcome.compared_bytes,
                "differences": [found.document() for found in outcome.differences],
                "complete": outcome.complete,
                "repairing": repairing,
            }
        )
    if not outcome.equal:
        first, *others = outcome.differences
        if not json:
            for found in outcome.differences:
                print(found)
            for name in repairing:
                print(f"{name} fetches its data again")
        more = f" and {'' if outcome.complete else 'at least '}{len(others)} more" if others else ""
        where = "" if linked else f" at sequence number {outcome.sequence}"
        raise DifferentError(f"the nodes differ{where}: {first}{more}")
    if json:
        return
    size = show_size(outcome.compared_bytes)
    if linked:
        print(f"equal in what is linked: {size} compared")
    else:
        print(f"equal at sequence number {outcome.sequence}: {size} compared")
