"""Options that both daemons share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The data directory; made when it is missing.")
]
ListenOption = Annotated[
    str | None,
    typer.Option(
        "--listen", metavar="HOST:PORT", help="Where Redis clients connect.  [default: 127.0.0.1:6380]"
    ),
]
HttpOption = Annotated[
    str | None,
    typer.Option(
        "--http", metavar="HOST:PORT", help="Health, status and metrics over HTTP, for instance :6382."
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML with the same settings, and more; flags go before it."
    ),
]
DurabilityOption = Annotated[
    str | None,
    typer.Option(
        "--durability",
        metavar="sync|async",
        help="Answer a write after its fdatasync, or after its write().  [default: sync]",
    ),
]
LogFormatOption = Annotated[
    str | None, typer.Option("--log", metavar="auto|json|console", help="How events are written to stderr.")
]
TakeRoleOption = Annotated[
    bool,
    typer.Option(
        "--take-role",
        help="Be what this verb says, whatever the node was since: a replica is promoted, a primary follows.",
    ),
]

SIGNALS = """\
\b
SIGTERM and Ctrl-C end it cleanly: clients and replicas are drained, the log is synced, and it exits with 0.
It exits with 74 when a sync failed (start it again: it recovers what is really there) and with 78 when the
configuration cannot be used."""
