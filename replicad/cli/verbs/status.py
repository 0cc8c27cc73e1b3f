"""`replicad status`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from replicad.cli.arguments import JsonOption, NodesArgument, TimeoutOption

if TYPE_CHECKING:
    from replicad.cli.health.finding import Threshold, Thresholds
    from replicad.cli.nodes.ask import NodeAnswer
    from replicad.cli.terminal import Line


def register(app: typer.Typer) -> None:
    app.command(
        help="""What is wrong with nodes and what to do about it, then one line for each node.

    A running node answers itself. Of a data directory it shows what the node last wrote there about itself,
    and when: nobody is asked then, so the node's health is UNKNOWN. All nodes are asked at the same time.
    Exits with 3 when a node cannot be reached; the others are shown all the same.

    With --check it is a Nagios plugin: one line with its numbers, and the exit code 0 (OK), 1 (WARNING),
    2 (CRITICAL) or 3 (UNKNOWN). A threshold is N for a warning, or N,M for a warning above N and a critical
    state above M.
    """,
        epilog="""\
\b
Examples:
  replicad status :6380 :6390
  replicad status :6390 --full                     everything that the node says of itself
  replicad status /var/lib/replicad/replica        its daemon may be down
  replicad status :6380 --json | jq .[0].position
  replicad status :6380 :6390 --check --lag-seconds 10,60 --lag-bytes 100000000""",
    )(status)


def status(
    nodes: NodesArgument,
    full: Annotated[
        bool, typer.Option("--full", help="Show all that the nodes say of themselves, without a judgement.")
    ] = False,
    json: JsonOption = False,
    check: Annotated[bool, typer.Option("--check", help="Answer as a Nagios plugin does.")] = False,
    timeout: TimeoutOption = 5.0,
    lag_seconds: Annotated[
        str, typer.Option(metavar="N[,M]", help="How old a read of a replica may be.")
    ] = "30,300",
    lag_bytes: Annotated[
        str, typer.Option(metavar="N[,M]", help="How much log a replica may lack.  [default: any]")
    ] = "",
    backup_seconds: Annotated[
        str, typer.Option(metavar="N[,M]", help="How old the last backup may be.")
    ] = "129600",
    replicas: Annotated[int, typer.Option(metavar="N", help="How many replicas a primary needs.", min=0)] = 1,
) -> int:
    from replicad.cli.health.check import unknown_line
    from replicad.cli.health.finding import Thresholds
    from replicad.cli.nodes.ask import ask_nodes
    from replicad.errors import ConfigError, UsageError

    try:
        if full + json + check > 1:
            raise UsageError("--full, --json and --check are three forms: choose one")
        thresholds = Thresholds(
            lag_seconds=_threshold("--lag-seconds", lag_seconds),
            lag_bytes=_threshold("--lag-bytes", lag_bytes),
            backup_seconds=_threshold("--backup-seconds", backup_seconds),
            replicas=replicas,
        )
        answers = ask_nodes(nodes, timeout)
    except (UsageError, ConfigError) as error:
        if not check:
            raise
        # To a monitoring system the exit code of a wrong command line would mean CRITICAL.
        code, line = unknown_line(str(error))
        print(line)
        return code

    if check:
        return _print_check(answers, thresholds)
    if full or json:
        _print_documents(answers, json=json)
    else:
        _print_page(answers, thresholds)
    return _exit_code(answers, in_page=not (full or json))


def _threshold(flag: str, text: str) -> Threshold:
    from replicad.cli.health.finding import Threshold
    from replicad.errors import UsageError

    try:
        warning, critical, *_ = [float(each) if each else None for each in [*text.split(",", 1), ""]]
    except ValueError:
        raise UsageError(f"{flag} {text!r} is not N or N,M") from None
    return Threshold(warning=warning, critical=critical)


def _print_check(answers: Sequence[NodeAnswer], thresholds: Thresholds) -> int:
    from replicad.cli.health.check import check_line
    from replicad.cli.health.judge import find_all

    code, line = check_line(answers, find_all(answers, thresholds), thresholds)
    print(line)
    return code


def _print_page(answers: Sequence[NodeAnswer], thresholds: Thresholds) -> None:
    from replicad.cli.health.judge import find_all
    from replicad.cli.health.page import status_lines
    from replicad.cli.health.summary import summarize
    from replicad.cli.terminal import print_lines

    findings = find_all(answers, thresholds)
    print_lines([*status_lines(findings, summarize(answers, findings)), *_cluster(answers)])


def _cluster(answers: Sequence[NodeAnswer]) -> list[Line]:
    """The cluster as the first node shows it that reaches etcd; nothing without a failover."""
    from replicad.cli.health.cluster import cluster_lines

    shown = [failover for each in answers if (failover := (each.document or {}).get("failover"))]
    if not shown:
        return []
    return [[], *cluster_lines(min(shown, key=lambda failover: failover.get("unreachable") is not None))]


def _print_documents(answers: Sequence[NodeAnswer], *, json: bool) -> None:
    from replicad.cli.document import print_document
    from replicad.cli.output import print_json

    documents = [
        {"node": each.name} | ({"error": str(each.error)} if each.document is None else each.document)
        for each in answers
    ]
    if json:
        print_json(documents)
        return
    for number, document in enumerate(each for each in documents if "error" not in each):
        if number:
            print()
        print_document(document)


def _exit_code(answers: Sequence[NodeAnswer], *, in_page: bool) -> int:
    """Of the first node that did not answer. A terminal that shows the page has its reason already."""
    from replicad.cli.exits import OK, exit_code
    from replicad.cli.output import print_error

    code = OK
    for error in (each.error for each in answers if each.error is not None):
        if not in_page or not sys.stdout.isatty():
            print_error(str(error))
        code = code or exit_code(error)
    return code
