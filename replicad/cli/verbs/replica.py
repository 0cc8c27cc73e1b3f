"""`replicad replica`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from replicad.cli.nodes.daemons import (
    SIGNALS,
    ConfigOption,
    DataOption,
    DurabilityOption,
    FromBackupOption,
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
        help="""Run a replica: it follows a primary and serves reads.

    Without data it fetches a copy of the primary's files first; then it follows the log, and goes on where it
    stopped whenever it starts again. Until it has data, clients are told -LOADING.

    With --from-backup it does not fetch that copy from the primary: it restores the newest backup of the
    primary's database at TARGET, then the archived log there, and the primary sends only what is newer. A
    restore that was interrupted goes on at the next start. Once there is data the option does nothing, so it
    can stay in a unit.
    """,
        epilog=f"""\
\b
Examples:
  replicad replica --data /tmp/r --primary 127.0.0.1:6381 --listen 127.0.0.1:6390
  replicad replica --config /etc/replicad/replica.toml
  replicad replica --data /tmp/r --primary 127.0.0.1:6381 --from-backup /var/backups/replicad
  replicad replica --data /tmp/r --primary 127.0.0.1:6381 --from-backup s3://bucket/prefix

{SIGNALS}""",
    )(replica)


def replica(
    data: DataOption = None,
    primary: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", callback=address, help="The replication address of its primary."),
    ] = None,
    from_backup: FromBackupOption = None,
    listen: ListenOption = None,
    replication: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            callback=address,
            help="Where replicas of it connect.  [default: a free port]",
        ),
    ] = None,
    http: HttpOption = None,
    config: ConfigOption = None,
    durability: DurabilityOption = None,
    log: LogFormatOption = None,
    take_role: TakeRoleOption = False,
) -> int:
    from replicad.daemon.config import ReplicaConfig, Sources, load
    from replicad.daemon.program import run

    require(config, data=data, primary=primary)
    flags = {
        "data": data,
        "primary": primary,
        "from_backup": from_backup,
        "listen": listen,
        "replication": replication,
        "http": http,
        "store__durability": durability,
        "log__format": log,
        "take_role_now": take_role or None,
    }
    sources = Sources(file=config, environment=os.environ, flags=flags)
    loaded = load(ReplicaConfig, sources)
    return run_daemon(lambda: run(loaded.config, sources))
