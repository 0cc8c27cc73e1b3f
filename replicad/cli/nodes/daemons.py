"""Options that both daemons share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from replicad.errors import UsageError


def address(text: str | None) -> str | None:
    """Of a flag: checked here, so that what is wrong with it is told under the flag's name."""
    from replicad.errors import ConfigError
    from replicad.net.addresses import parse_address

    try:
        if text is not None:
            parse_address(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def _target(text: str | None) -> str | None:
    """Of a flag: a directory may be relative, as for the verbs of `replicad backup`."""
    from replicad.backup.address import check_for_node, parse_target
    from replicad.errors import ConfigError

    if text is None:
        return None
    try:
        place = parse_target(text)
        where = text if isinstance(place, str) else str(place.absolute())
        check_for_node(where)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    return where


def _one_of(*choices: str) -> Callable[[str | None], str | None]:
    def check(text: str | None) -> str | None:
        if text is not None and text not in choices:
            raise typer.BadParameter(f"{text!r} is none of {', '.join(choices)}")
        return text

    return check


def require(config: Path | None, **flags: object) -> None:
    """Raises UsageError for a flag that is needed where no file and no variable says the same."""
    for name, value in flags.items():
        if config is None and value is None and f"REPLICAD_{name.upper()}" not in os.environ:
            raise UsageError(f"--{name} is missing; give it, or --config FILE")


DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The data directory; created when it is missing.")
]
CreateOption = Annotated[
    bool,
    typer.Option(
        "--create",
        help="Make a database although the directory exists. An empty one may be a disk that is not mounted.",
    ),
]
FromBackupOption = Annotated[
    str | None,
    typer.Option(
        "--from-backup",
        metavar="TARGET",
        help="Without data, restore the newest backup at this directory or URL first, then the log there.",
        callback=_target,
    ),
]
ListenOption = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        help="Where Redis clients connect.  [default: 127.0.0.1:6380]",
        callback=address,
    ),
]
HttpOption = Annotated[
    str | None,
    typer.Option(
        "--http",
        metavar="HOST:PORT",
        help="Health, status and metrics over HTTP, for instance :6382.",
        callback=address,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML with the same settings, and more; flags override it."
    ),
]
DurabilityOption = Annotated[
    str | None,
    typer.Option(
        "--durability",
        metavar="sync|async",
        help="Answer a write after its fdatasync, or after its write().  [default: sync]",
        callback=_one_of("sync", "async"),
    ),
]
LogFormatOption = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="auto|json|console",
        help="How events are written to stderr.",
        callback=_one_of("auto", "json", "console"),
    ),
]
TakeRoleOption = Annotated[
    bool,
    typer.Option(
        "--take-role",
        help="Take the role that this verb names, whatever the node has become since, by the rules of "
        "promote and REPLICAOF; exit when they refuse.",
    ),
]

SIGNALS = """\
\b
SIGTERM and Ctrl-C end it cleanly: clients and replicas are drained, the log is synced, and it exits with 0.
It exits with 74 when a sync failed (start it again: it recovers what is really there), with 65 when its data
is damaged, and with 78 when the configuration cannot be used, or a later release wrote the data. SIGHUP has
the configuration read again, as `replicad reload` does."""


def run_daemon(run: Callable[[], None]) -> int:
    """The exit code: damage that starting finds is not mended by starting again."""
    from replicad.cli.exits import DATA_DAMAGED, OK
    from replicad.cli.output import print_error
    from replicad.errors import CorruptionError

    try:
        run()
    except CorruptionError as error:
        print_error(str(error))
        return DATA_DAMAGED
    return OK
