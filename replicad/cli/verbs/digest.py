"""`replicad digest`."""

from __future__ import annotations

import contextlib

import typer

from replicad.cli.arguments import JsonOption, NodeArgument


def register(app: typer.Typer) -> None:
    app.command(
        help="""Sequence number and digest of a snapshot taken now.

    The digest is the SHA-256 of every key and value in key order. Two nodes at one sequence number with one
    digest hold the same data. A running node computes it while it works; it takes as long as reading
    everything.
    """,
        epilog="\b\nExamples:\n  replicad digest :6380\n  replicad digest /var/lib/replicad/primary --json",
    )(digest)


def digest(node: NodeArgument, json: JsonOption = False) -> None:
    from replicad.cli.nodes.node import open_node
    from replicad.cli.output import print_json

    with contextlib.closing(open_node(node)) as opened:
        sequence, hex_digest = opened.digest()
        if json:
            print_json({"node": opened.name, "sequence": sequence, "digest": hex_digest})
        else:
            print(f"{sequence} {hex_digest}")
