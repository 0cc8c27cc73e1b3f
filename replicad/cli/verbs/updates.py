"""`replicad updates`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicad.cli.arguments import JsonOption, NodeArgument, parse_time
from replicad.errors import UsageError

if TYPE_CHECKING:
    from replicad.cli.nodes.node import LogUpdate

WAIT_MS = 500


def register(app: typer.Typer) -> None:
    app.command(
        help="""The log as lines, annotations included.

    Each batch is shown with its position, time, annotations and operations. Fails (and says where the log
    begins) when N is gone from the log, or when what was committed since TIME may be; never skips anything
    silently.
    """,
        epilog="""\
\b
Examples:
  replicad updates :6380 --since 1              everything that the log still holds
  replicad updates :6380 --since 100 --follow   from 100 on, and then as it happens
  replicad updates :6380 --since-time 2026-03-01T12:00:00Z
  replicad updates :6380 --since 1 --json | jq .annotations""",
    )(updates)


def updates(
    node: NodeArgument,
    since: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Begin at the batch that holds N; 1 by default.")
    ] = None,
    since_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin at the first batch committed at TIME (UTC) or later."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as batches become durable.")] = False,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N batches.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Show whole values, however long.")] = False,
    json: JsonOption = False,
) -> None:
    from replicad.cli.nodes.node import open_node
    from replicad.cli.output import print_json

    if since is not None and since_time is not None:
        raise UsageError("give --since or --since-time, not both")
    time_us = None if since_time is None else parse_time(since_time)
    with contextlib.closing(open_node(node)) as opened:
        at = (1 if since is None else since) if time_us is None else opened.sequence_at_time(time_us)
        shown = 0
        while True:
            for update in opened.updates(at, wait_ms=WAIT_MS if follow else 0):
                if json:
                    print_json(_document(update))
                else:
                    _print(update, full)
                at = update.last_sequence + 1
                shown += 1
                if shown == count:
                    return
            if not follow:
                return


def _print(update: LogUpdate, full: bool) -> None:
    from replicad.cli.output import SHOWN_BYTES_MAX, show_bytes, show_time
    from replicad.types import OperationKind

    limit = None if full else SHOWN_BYTES_MAX
    first, last = update.first_sequence, update.last_sequence
    span = str(first) if first == last else f"{first}-{last}"
    print(f"{update.epoch}:{span} {show_time(update.commit_time_us)} {update.history_hash:016x}")
    for operation in update.operations:
        family = f"[{operation.family}] " if operation.family else ""
        value = show_bytes(operation.value or b"", limit)
        match operation.kind:
            case OperationKind.PUT:
                print(f"    put {family}{show_bytes(operation.key, limit)} = {value}")
            case OperationKind.DELETE:
                print(f"    delete {family}{show_bytes(operation.key, limit)}")
            case OperationKind.LOG_DATA:
                print(f"    annotation {value}")
            case OperationKind.EPOCH:
                print(f"    epoch {_epoch(operation.value or b'')}")
            case OperationKind.MARK:
                print(f"    mark {_mark(operation.value or b'')}")
            case kind:
                print(f"    {kind.name.lower()} {family}{show_bytes(operation.key, limit)} {value}".rstrip())
    print(end="", flush=True)


def _epoch(record: bytes) -> str:
    from replicad.errors import CorruptionError
    from replicad.store.write.control import decode_epoch

    try:
        epoch = decode_epoch(record)
    except CorruptionError:
        return "of another version"
    return f"{epoch.epoch} begins, after {epoch.fork}; its id is {epoch.id.hex()}"


def _mark(record: bytes) -> str:
    from replicad.store.marks import decode_mark

    mark = decode_mark(record)
    return "of another version" if mark is None else f"{mark.id.hex()}, held for {mark.seconds} s"


def _document(update: LogUpdate) -> dict[str, Any]:
    from replicad.cli.output import json_bytes
    from replicad.types import OperationKind

    return {
        "epoch": update.epoch,
        "first_sequence": update.first_sequence,
        "last_sequence": update.last_sequence,
        "history_hash": f"{update.history_hash:016x}",
        "commit_time_us": update.commit_time_us,
        "annotations": [json_bytes(annotation) for annotation in update.annotations],
        "operations": [
            {
                "kind": operation.kind.name.lower(),
                "family": operation.family,
                "key": json_bytes(operation.key or b""),
                "value": None if operation.value is None else json_bytes(operation.value),
            }
            for operation in update.operations
            if operation.kind != OperationKind.LOG_DATA
        ],
    }
