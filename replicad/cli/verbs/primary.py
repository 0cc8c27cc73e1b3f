"""`replicad primary`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from replicad.cli.nodes.daemons import (
    SIGNALS,
    ConfigOption,
    CreateOption,
    DataOption,
    DurabilityOption,
    HttpOption,
    ListenOption,
    LogFormatOption,
    TakeRoleOption,
    address,
    require,
    run_daemon,
)


def register(app: typer.Typer) -> None:
    app.command(
        help="""Run a primary: it owns the writes and feeds the replicas.

    Runs in the foreground and writes its events to stderr. Addresses of other machines need TLS and users:
    docs/security.md.
    """,
        epilog=f"""\
\b
Examples:
  replicad primary --data /tmp/p
  replicad primary --config /etc/replicad/primary.toml

{SIGNALS}""",
    )(primary)


def primary(
    data: DataOption = None,
    listen: ListenOption = None,
    replication: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", callback=address, help="Where replicas connect.  [default: 127.0.0.1:6381]"
        ),
    ] = None,
    http: HttpOption = None,
    config: ConfigOption = None,
    durability: DurabilityOption = None,
    log: LogFormatOption = None,
    take_role: TakeRoleOption = False,
    create: CreateOption = False,
) -> int:
    from replicad.daemon.config import PrimaryConfig, Sources, load
    from replicad.daemon.program import run

    require(config, data=data)
    flags = {
        "data": data,
        "listen": listen,
        "http": http,
        "replication": replication,
        "store__durability": durability,
        "log__format": log,
        "take_role_now": take_role or None,
        "create": create or None,
    }
    sources = Sources(file=config, environment=os.environ, flags=flags)
    loaded = load(PrimaryConfig, sources)
    return run_daemon(lambda: run(loaded.config, sources))
