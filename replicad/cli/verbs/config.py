"""`replicad config check`, `replicad config show` and `replicad config example`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicad.cli.nodes.daemons import (
    DataOption,
    DurabilityOption,
    HttpOption,
    ListenOption,
    LogFormatOption,
    address,
)

if TYPE_CHECKING:
    from replicad.daemon.config import Loaded, NodeConfig

configs = typer.Typer(rich_markup_mode=None, help="What a node is configured to be.")

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="The file of --config.", show_default=False)
]
PrimaryOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", callback=address, help="The primary of a replica."),
]
ReplicationOption = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", callback=address, help="Where replicas connect.")
]


def register(app: typer.Typer) -> None:
    app.add_typer(configs, name="config")


@configs.command(
    help="""Say whether a node would start with this configuration, and what it would be.

    Reads what the daemon reads: FILE, conf.d beside it, the environment, the flags. With the address of a
    primary it is a replica's. Certificates and passwords are read, too, with the rights of who runs this.
    Shows everything that is wrong, and exits with 78 then.
    """,
    epilog="""\
\b
Examples:
  replicad config check /etc/replicad/primary.toml --data /var/lib/replicad/primary
  REPLICAD_LINK__SHIP=durable replicad config check replica.toml""",
)
def check(
    file: FileArgument = None,
    data: DataOption = None,
    primary: PrimaryOption = None,
    listen: ListenOption = None,
    replication: ReplicationOption = None,
    http: HttpOption = None,
    durability: DurabilityOption = None,
    log: LogFormatOption = None,
) -> int:
    from replicad.cli.exits import BAD_CONFIGURATION, OK
    from replicad.cli.output import print_error
    from replicad.daemon.config.named_files import wrong_files
    from replicad.daemon.config.summary import summary

    flags = _flags(data, primary, listen, replication, http, durability, log)
    loaded = _load(file, flags)
    if loaded is None:
        return BAD_CONFIGURATION
    if wrong := wrong_files(loaded.config):
        for text in wrong:
            print_error(text)
        return BAD_CONFIGURATION
    print(f"OK: {summary(loaded)}")
    return OK


@configs.command(
    help="""Show every value that counts, as TOML.

    Takes what check takes. --origin says of each value where it was set: default, a file and its line, a
    variable of the environment, or a flag.
    """,
    epilog="""\
\b
Examples:
  replicad config show /etc/replicad/primary.toml --data /var/lib/replicad/primary --origin""",
)
def show(
    file: FileArgument = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value was set.")] = False,
    data: DataOption = None,
    primary: PrimaryOption = None,
    listen: ListenOption = None,
    replication: ReplicationOption = None,
    http: HttpOption = None,
    durability: DurabilityOption = None,
    log: LogFormatOption = None,
) -> int:
    from replicad.cli.exits import BAD_CONFIGURATION, OK
    from replicad.daemon.config import show as shown

    flags = _flags(data, primary, listen, replication, http, durability, log)
    loaded = _load(file, flags)
    if loaded is None:
        return BAD_CONFIGURATION
    print(shown.show(loaded, origin=origin), end="")
    return OK


@configs.command(
    help="""Print a file with every key, its default and what it does.

    All but the required keys are comments.
    """,
    epilog="""\
\b
Examples:
  replicad config example > primary.toml
  replicad config example replica""",
)
def example(
    role: Annotated[
        str, typer.Argument(metavar="[primary|replica]", help="What the file is for.", show_default=False)
    ] = "primary",
) -> None:
    from replicad.daemon.config import PrimaryConfig, ReplicaConfig
    from replicad.daemon.config import example as examples
    from replicad.errors import UsageError

    if role not in ("primary", "replica"):
        raise UsageError(f"{role!r} is neither primary nor replica")
    print(examples.example(ReplicaConfig if role == "replica" else PrimaryConfig), end="")


def _flags(
    data: Path | None,
    primary: str | None,
    listen: str | None,
    replication: str | None,
    http: str | None,
    durability: str | None,
    log: str | None,
) -> dict[str, Any]:
    return {
        "data": data,
        "primary": primary,
        "listen": listen,
        "replication": replication,
        "http": http,
        "store__durability": durability,
        "log__format": log,
    }


def _load(file: Path | None, flags: dict[str, Any]) -> Loaded[NodeConfig] | None:
    """None when something is wrong; then it is said."""
    from replicad.cli.output import print_error
    from replicad.daemon.config import Sources, try_to_load

    sources = Sources(file=file, environment=os.environ, flags=flags)
    kind: type[NodeConfig] = sources.kind()
    loaded, wrong = try_to_load(kind, sources)
    for text in wrong:
        print_error(text)
    return loaded
