"""`replicad backup restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicad.cli.arguments import JsonOption, parse_time
from replicad.cli.backup.arguments import (
    DatabaseOption,
    RateOption,
    TargetArgument,
    WorkersOption,
    open_reading,
    unreadable_after,
)

if TYPE_CHECKING:
    from replicad.backup.read_only import BackupEngineReadOnly
    from replicad.backup.restore.operation import RestoreReport


def register(app: typer.Typer) -> None:
    app.command(
        help="""Make a backup, and the log after it if asked, the content of a directory.

    Everything is fetched, verified and synced first; until the very end the old database is what opens, and a
    restore that is interrupted goes on when it is run again. Files that DEST has already are kept. A
    directory that a process has open is refused.

    Where several databases share the target, it is the database of DEST that is restored, or the one that
    DEST is a copy of; into a new directory, name one with --database. Over another database nothing is
    restored.

    --sequence and --time need an archived log ([backup] archive_log = true): the newest backup before that
    moment is restored, and the log applied to exactly there.

    A replica started on DEST follows its primary from there. Opened for writing by itself, it becomes a
    database of its own: it can never be mistaken for the original.
    """,
        epilog="""\
\b
Examples:
  replicad backup restore /srv/backups /srv/restored                 the latest
  replicad backup restore /srv/backups /srv/restored --id 12 --dry-run
  replicad backup restore s3://backups/orders /srv/restored --sequence 48211
  replicad backup restore /srv/backups /srv/restored --time 2026-03-01T11:59:59Z

Then: replicad primary --data /srv/restored, or replicad replica --data /srv/restored --primary …""",
    )(restore)


def restore(
    target: TargetArgument,
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="A directory: new, empty, or a database to be replaced.")
    ],
    id: Annotated[
        int | None, typer.Option("--id", metavar="ID", min=1, help="Its id; the latest by default.")
    ] = None,
    sequence: Annotated[
        int | None,
        typer.Option("--sequence", metavar="N", min=0, help="To exactly the batch that ends with N."),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="TIME", help="To the last batch committed until then (UTC), or now."),
    ] = None,
    database: DatabaseOption = None,
    wal_dir: Annotated[
        Path | None, typer.Option("--wal-dir", metavar="DIR", help="Where its log goes, if not into DEST.")
    ] = None,
    attachments: Annotated[
        Path | None,
        typer.Option(
            "--attachments", metavar="DIR", help="Where attachments go.  [default: DEST/attachments]"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
    workers: WorkersOption = 4,
    rate: RateOption = None,
    json: JsonOption = False,
) -> None:
    from replicad.cli.backup.interrupting import stoppable
    from replicad.cli.backup.progress import bar
    from replicad.cli.output import print_json

    with (
        open_reading(target, workers=workers, rate=rate) as engine,
        stoppable(engine),
        bar("restoring") as progress,
    ):
        report = _restore(
            engine,
            destination,
            id,
            sequence,
            time,
            database,
            wal_dir=wal_dir,
            attachments=attachments,
            dry_run=dry_run,
            progress=progress,
        )
    if json:
        print_json(report_document(report))
    else:
        _print(report)


def _restore(
    engine: BackupEngineReadOnly,
    destination: Path,
    id: int | None,
    sequence: int | None,
    time: str | None,
    database: str | None,
    **options: Any,
) -> RestoreReport:
    from replicad.env import Env
    from replicad.errors import UsageError

    if sum(given is not None for given in (id, sequence, time)) > 1:
        raise UsageError("one of --id, --sequence and --time")
    if database is not None and id is not None:
        raise UsageError("--id names a backup, whose database is known: leave out --database")
    if id is not None:
        return engine.restore_backup(id, destination, **options)
    if sequence is None and time is None:
        report = engine.restore_latest_backup(destination, database_id=database, **options)
        unreadable_after(engine, report.id)
        return report
    return engine.restore_to(
        destination,
        sequence=sequence,
        time_us=None if time is None else Env().clock.wall_us() if time == "now" else parse_time(time),
        database_id=database,
        **options,
    )


def report_document(report: RestoreReport) -> dict[str, Any]:
    return {
        "id": report.id,
        "path": str(report.path),
        "wal_dir": None if report.wal_dir is None else str(report.wal_dir),
        "attachments": None if report.attachments is None else str(report.attachments),
        "position": None if report.position is None else str(report.position),
        "sequence": report.sequence,
        "size_bytes": report.size_bytes,
        "kept_bytes": report.kept_bytes,
        "kept_files": report.kept_files,
        "fetched_bytes": report.fetched_bytes,
        "fetched_files": report.fetched_files,
        "log_bytes": report.log_bytes,
        "log_end": report.log_end,
        "stood_still": None if report.stood_still is None else list(report.stood_still),
        "replaces": report.replaces,
        "dry_run": report.dry_run,
    }


def _print(report: RestoreReport) -> None:
    from replicad.units import show_count, show_size

    did, what = ("would be", "to be fetched") if report.dry_run else ("is", "fetched")
    at = f"at {report.position}" if report.position else f"at sequence number {report.sequence}"
    print(f"backup {report.id} {did} in {report.path} {at}")
    print(
        f"  {show_count(report.fetched_files, 'file')} {what} ({show_size(report.fetched_bytes)}), "
        f"{report.kept_files} kept ({show_size(report.kept_bytes)})"
    )
    if report.log_bytes:
        print(f"  the log after it: {show_size(report.log_bytes)} read")
    if report.stood_still is not None:
        first, last = report.stood_still
        print(
            f"  NOTE: times stood still from sequence number {first} to {last}, as after a clock that was "
            "ahead: what was committed until your time may be among them; --sequence restores to any of them"
        )
    elif report.log_end is not None and report.log_end > report.sequence:
        print(
            f"  the archived log goes on to sequence number {report.log_end}: --sequence or --time restores "
            "to there"
        )
    if report.wal_dir is not None:
        print(f"  its log goes to {report.wal_dir}")
    if report.attachments is not None:
        print(f"  attachments: {report.attachments}")
    if report.replaces is not None:
        print(f"  {'it would replace' if report.dry_run else 'it replaced'} database {report.replaces}")
