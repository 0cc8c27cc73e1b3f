"""`replicad backup delete`, `purge`, `delete-log` and `gc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicad.cli.arguments import JsonOption
from replicad.cli.backup.arguments import DatabaseOption, TargetArgument, open_engine, parse_span

if TYPE_CHECKING:
    from replicad.backup.collect import Collected


def register(app: typer.Typer) -> None:
    app.command(
        help="""Delete backups, and the files that no other backup needs.

    Deletes all of them, or none when one does not exist. A backup that cannot be read must be named as well:
    nobody knows which files it needs.
    """,
        epilog="\b\nExample:\n  replicad backup delete /srv/backups 3 4",
    )(delete)
    app.command(
        help="""\
    Delete old backups, and old log: by age, by count, or both. Everything counts for each database.

    Log goes only up to the position of a backup that stays, so what is left can always be restored. Safe
    while backups are being made, here or elsewhere.
    """,
        epilog="""\
\b
Examples:
  replicad backup purge /srv/backups --keep 14
  replicad backup purge /srv/backups --keep 14 --log-age 30d      and the archived log, as far as it may""",
    )(purge)
    app.command(
        name="delete-log",
        help="""Delete all archived log of a database that has no backup any more.

    Nothing can be restored from log alone. While the database has backups this is refused: `purge` lets go of
    log that they do not need. Not for a database that a node archives: it would find its archive cut off.
    """,
        epilog="""\
\b
Example:
  replicad backup purge /srv/backups --keep 0 --database 1f6e0c4b
  replicad backup delete-log /srv/backups 1f6e0c4b""",
    )(delete_log)
    app.command(
        help="""Remove what no backup needs: files that interrupted backups left.

    Nothing that a backup under way relies on is touched, as long as it was heard of within the grace (a day).
    """,
        epilog="\b\nExample:\n  replicad backup gc /srv/backups",
    )(gc)


def delete(
    target: TargetArgument,
    ids: Annotated[list[int], typer.Argument(metavar="ID...", help="As `replicad backup list` shows them.")],
    json: JsonOption = False,
) -> None:
    with open_engine(target) as engine:
        collected = engine.delete_backups(ids)
    _report([collected], 0, json)


def purge(
    target: TargetArgument,
    keep: Annotated[
        int | None,
        typer.Option("--keep", metavar="N", min=0, help="Delete all but the newest N of each database."),
    ] = None,
    log_age: Annotated[
        str | None,
        typer.Option(
            "--log-age", metavar="SPAN", help="Keep log to restore any moment of the last 30d, say."
        ),
    ] = None,
    log_backups: Annotated[
        int | None,
        typer.Option("--log-backups", metavar="N", min=1, help="Keep the log since the last N backups."),
    ] = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    from replicad.backup.databases import find_database
    from replicad.errors import UsageError

    if keep is None and log_age is None and log_backups is None:
        raise UsageError("say what to keep: --keep N, --log-age SPAN or --log-backups N")
    with open_engine(target) as engine:
        database_id = None
        if database is not None:
            database_id = find_database((info.database_id for info in engine.get_backup_info()), database)
        collected = [] if keep is None else [engine.purge_old_backups(keep, database_id=database_id)]
        log_bytes = engine.purge_log(
            keep_seconds=parse_span(log_age), keep_backups=log_backups, database_id=database_id
        )
    _report(collected, log_bytes, json)


def delete_log(
    target: TargetArgument,
    database: Annotated[
        str, typer.Argument(metavar="DATABASE", help="Its id as `list` shows it, or the beginning.")
    ],
    json: JsonOption = False,
) -> None:
    with open_engine(target) as engine:
        log_bytes = engine.delete_log(database)
    _report([], log_bytes, json)


def gc(
    target: TargetArgument,
    grace: Annotated[
        str | None,
        typer.Option(
            "--grace",
            metavar="SPAN",
            help="Treat a backup that is being made as dead after this long without a sign of life; 0s when "
            "surely none is being made.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    with open_engine(target) as engine:
        collected = engine.garbage_collect(parse_span(grace))
    _report([collected], 0, json)


def _report(collected: list[Collected], log_bytes: int, json: bool) -> None:
    from replicad.cli.output import print_json
    from replicad.units import show_count, show_size

    document: dict[str, Any] = {
        "backups": [id for each in collected for id in each.backups],
        "files": sum(each.files for each in collected),
        "bytes": sum(each.bytes for each in collected),
        "claims_revoked": sum(each.claims_revoked for each in collected),
        "unfinished": sum(each.unfinished for each in collected),
        "log_bytes": log_bytes,
    }
    if json:
        print_json(document)
        return
    ids = ", ".join(map(str, document["backups"])) or "none"
    files = show_count(document["files"], "file")
    print(f"backups deleted: {ids}; {files} removed, {show_size(document['bytes'])} freed")
    if log_bytes:
        print(f"archived log removed: {show_size(log_bytes)}")
