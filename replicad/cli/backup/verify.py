"""`replicad backup verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from replicad.cli.arguments import JsonOption
from replicad.cli.backup.arguments import (
    DatabaseOption,
    RateOption,
    TargetArgument,
    WorkersOption,
    open_reading,
    unreadable_after,
)

if TYPE_CHECKING:
    from replicad.backup.archive.check import LogCheck
    from replicad.backup.read_only import BackupEngineReadOnly
    from replicad.backup.verify import Verification


def register(app: typer.Typer) -> None:
    app.command(
        help="""Check that backups are whole, and that the archived log has no gap.

    Sizes are compared always, so a truncated file is found; with --checksums contents are too. Damage to a
    file that several backups share names every backup that it breaks.
    """,
        epilog="""\
\b
Examples:
  replicad backup verify /srv/backups                        the latest: every file there, every size right
  replicad backup verify /srv/backups 11 12 --checksums      two of them, every byte
  replicad backup verify /srv/backups --all --checksums --json | jq .broken

Exits with 1 when anything is wrong, or when the archived log has a gap.""",
    )(verify)


def verify(
    target: TargetArgument,
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID]...", help="Their ids; the latest of each database by default."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every backup at the target.")] = False,
    checksums: Annotated[bool, typer.Option("--checksums", help="Read every byte, not only sizes.")] = False,
    database: DatabaseOption = None,
    workers: WorkersOption = 4,
    rate: RateOption = None,
    json: JsonOption = False,
) -> int:
    from replicad.cli.backup.interrupting import stoppable
    from replicad.cli.backup.progress import bar
    from replicad.cli.exits import ERROR, OK
    from replicad.cli.output import print_json
    from replicad.errors import UsageError

    if every + bool(ids) + (database is not None) > 1:
        raise UsageError("one of --all, --database and ids")
    with (
        open_reading(target, workers=workers, rate=rate) as engine,
        stoppable(engine),
        bar("verifying") as progress,
    ):
        if not every and not ids:
            ids = _latest(engine, target, database)
        found = engine.verify_backups(ids or None, checksums=checksums, progress=progress)
        logs = engine.verify_log(checksums=checksums, progress=progress)
        if database is not None:
            logs = [check for check in logs if check.database_id.hex().startswith(database.lower())]
    if json:
        print_json({**found.as_dict(), "log": [check.as_dict() for check in logs]})
    else:
        _print(found, logs)
    return OK if found.ok and all(check.ok for check in logs) else ERROR


def _latest(engine: BackupEngineReadOnly, target: str, database: str | None) -> list[int] | None:
    """Ids of the newest readable backup of each database, or of one, and of newer unreadable ones."""
    from replicad.backup.databases import find_database, latest
    from replicad.errors import NotFoundError

    damaged = engine.get_corrupted_backups()
    newest = latest(info for info in engine.get_backup_info() if info.id not in damaged)
    if database is not None:
        newest = {id: newest[id] for id in [find_database(newest, database)]}
    if not newest:
        if damaged:
            return None
        raise NotFoundError(f"{target} holds no backup")
    ids = [info.id for info in newest.values()]
    return [*unreadable_after(engine, max(ids)), *ids]


def _print(found: Verification, logs: list[LogCheck]) -> None:
    from replicad.backup.verify import name_backups
    from replicad.cli.output import print_error
    from replicad.units import show_count, show_size

    # A broken backup is given up by its number, so none is called broken because of another one.
    states = {"DAMAGED": found.broken, "whole": found.whole}
    headline = "; ".join(f"{name_backups(ids)}: {state}" for state, ids in states.items() if ids)
    how = "every byte read" if found.checksums else "sizes compared; --checksums reads every byte"
    print(f"{headline}; {show_count(found.files, 'file')}, {show_size(found.bytes)} ({how})")
    for problem in found.problems:
        facts = "" if problem.expected is None else f" (expected {problem.expected}, got {problem.got})"
        print_error(f"{problem.name}: {problem.reason}{facts}; it breaks {name_backups(problem.backups)}")
    for check in logs:
        state = "whole" if check.ok else "DAMAGED" if check.restorable else "WITHOUT A BACKUP"
        print(
            f"log of {check.database_id.hex()[:8]}: {state}, from sequence number {check.first_sequence} to "
            f"{check.end.sequence}, {show_count(check.objects, 'object')}, {show_size(check.size_bytes)}"
        )
        if not check.restorable:
            print_error(
                f"nothing of the log of {check.database_id.hex()[:8]} can be restored: there is no backup of "
                "that database to start from; make one"
            )
        for gap in check.gaps:
            print_error(f"the log of {check.database_id.hex()[:8]} lacks sequence numbers {gap}")
        for bad in check.problems:
            print_error(f"{bad.name}: {bad.reason}")
