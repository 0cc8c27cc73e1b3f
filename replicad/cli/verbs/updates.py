"""`replicad updates`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicad.cli.arguments import JsonOption, NodeArgument, parse_time
from replicad.errors import DivergedError, UsageError

if TYPE_CHECKING:
    from replicad.cli.nodes.node import LogUpdate, NodeClient
    from replicad.feed.feed_filter import FeedFilter
    from replicad.types import Position

WAIT_MS = 500


def register(app: typer.Typer) -> None:
    app.command(
        help="""The log as lines, annotations included.

    Each batch is shown with its position, time, annotations and operations. Fails (and says where the log
    begins) when N is gone from the log, or when what was committed since TIME may be; never skips anything
    silently. With --follow it goes on when the node restarts. A slot (replicad slot create) keeps the log for
    one reader: what was printed is acknowledged, and the next start goes on after it.
    """,
        epilog="""\
\b
Examples:
  replicad updates :6380 --since 1              everything that the log still holds
  replicad updates :6380 --follow               from now on, as it happens
  replicad updates :6380 --since 1:100:88f1c3d5a0b1e6f2 --follow   after a position
  replicad updates :6380 --follow --slot search --family orders --prefix eu: --json
  replicad updates :6380 --since-time 2026-03-01T12:00:00Z
  replicad updates :6380 --since 1 --json | jq .annotations""",
    )(updates)


def updates(
    node: NodeArgument,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Begin at the batch that holds N, or after a position; by default at 1, with --follow at "
            "the end of the log.",
        ),
    ] = None,
    since_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin at the first batch committed at TIME (UTC) or later."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as batches become durable.")] = False,
    slot: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --follow: begin where this slot is, and move it."),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only operations of this column family; repeatable."),
    ] = None,
    prefix: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Only keys that begin so; \\xNN is a byte. Repeatable."),
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N batches.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Show whole values, however long.")] = False,
    json: JsonOption = False,
) -> None:
    from replicad.cli.nodes.access import parse_node_address
    from replicad.cli.nodes.node import LiveNode, open_node
    from replicad.cli.output import print_json, read_bytes
    from replicad.feed.feed_filter import FeedFilter

    if since is not None and since_time is not None:
        raise UsageError("give --since or --since-time, not both")
    if slot is not None and not follow:
        raise UsageError("--slot needs --follow: what is printed moves the slot")
    begin = None if since is None else _parse_since(since)
    time_us = None if since_time is None else parse_time(since_time)
    chosen = FeedFilter(family or (), map(read_bytes, prefix or ()))

    def show(update: LogUpdate) -> None:
        if json:
            print_json(_document(update))
        else:
            _print(update, full)

    with contextlib.closing(open_node(node)) as opened:
        if time_us is not None:
            begin = opened.sequence_at_time(time_us)
        if not (follow and isinstance(opened, LiveNode)):
            if slot is not None:
                raise UsageError("--slot is of a running node, and this is a directory")
            _show_log(opened, show, begin=begin, chosen=chosen, count=count, follow=follow)
            return

    from replicad.cli.nodes.follow import follow_node

    follow_node(parse_node_address(node), show, since=begin, slot=slot, chosen=chosen, count=count)


def _parse_since(text: str) -> int | Position:
    from replicad.errors import InvalidArgument
    from replicad.types import Position

    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return Position.parse(text)
    except InvalidArgument:
        raise UsageError(f"--since {text!r} is neither a sequence number nor a position") from None


def _show_log(
    opened: NodeClient,
    show: Callable[[LogUpdate], None],
    *,
    begin: int | Position | None,
    chosen: FeedFilter,
    count: int | None,
    follow: bool,
) -> None:
    """The log as it is, and with `follow` what comes to a directory that another process writes."""
    if chosen.families:
        chosen.learn(opened.families(), opened.name)
    if begin is None:
        begin = (opened.sequence() or 0) + 1 if follow else 1
    at = begin if isinstance(begin, int) else _after(opened, begin)
    shown = 0
    while True:
        for update in opened.updates(at, wait_ms=WAIT_MS if follow else 0):
            at = update.last_sequence + 1
            if not (kept := chosen.keep(update.operations)):
                continue
            show(replace(update, operations=tuple(kept)))
            shown += 1
            if shown == count:
                return
        if not follow:
            return


def _after(opened: NodeClient, position: Position) -> int:
    """The sequence number after the position; raises DivergedError for one of another history."""
    for update in opened.updates(max(1, position.sequence)):
        if position.sequence and update.position != position:
            raise DivergedError(f"{position} is not in this history: there it is {update.position}")
        break
    return position.sequence + 1


def _print(update: LogUpdate, full: bool) -> None:
    from replicad.cli.output import SHOWN_BYTES_MAX, show_bytes
    from replicad.types import OperationKind
    from replicad.units import show_time

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
        "position": str(update.position),
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
