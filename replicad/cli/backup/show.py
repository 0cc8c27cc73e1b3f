"""`replicad backup list` and `replicad backup show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicad.cli.arguments import JsonOption
from replicad.cli.backup.arguments import DatabaseOption, IdArgument, TargetArgument, open_reading

if TYPE_CHECKING:
    from replicad.backup.archive.check import LogCheck
    from replicad.backup.info import BackupInfo
    from replicad.backup.meta import BackupMeta


def register(app: typer.Typer) -> None:
    app.command(
        "list",
        help="""\
    The backups at a target, oldest first by database, and how far the archived log of each goes.

    OWN is what deleting a backup would free; the rest of it is shared with others. Exits with 1 when there
    are backups that cannot be read (their ids and why are on stderr).
    """,
        epilog="""\
\b
Examples:
  replicad backup list /srv/backups
  replicad backup list s3://backups/orders --json | jq '.backups[-1].position'""",
    )(list_backups)
    app.command(
        help="""\
    Explain what is in a backup: its exact position, its history, its files.""",
        epilog="""\
\b
Examples:
  replicad backup show /srv/backups 12
  replicad backup show /srv/backups 12 --files""",
    )(show)


def list_backups(target: TargetArgument, database: DatabaseOption = None, json: JsonOption = False) -> int:
    from replicad.backup.databases import find_database
    from replicad.cli.exits import ERROR, OK
    from replicad.cli.output import print_error, print_json

    with open_reading(target) as engine:
        damaged, logs = engine.get_corrupted_backups(), engine.verify_log()
        infos = [info for info in engine.get_backup_info() if info.id not in damaged]
        if database is not None:
            there = {info.database_id for info in infos} | {check.database_id for check in logs}
            chosen = find_database(there, database)
            infos = [info for info in infos if info.database_id == chosen]
            logs = [check for check in logs if check.database_id == chosen]
    if json:
        print_json(
            {
                "backups": [info.as_dict() for info in infos],
                "damaged": {str(id): str(error) for id, error in damaged.items()},
                "log": [check.as_dict() for check in logs],
            }
        )
    elif not infos and not logs and not damaged:
        print(f"{target} holds no backup")
    else:
        _print_databases(infos, logs)
    for id, error in damaged.items():
        print_error(f"backup {id} cannot be read: {error}")
    return ERROR if damaged else OK


def _print_databases(infos: list[BackupInfo], logs: list[LogCheck]) -> None:
    from replicad.backup.databases import short_names
    from replicad.cli.output import print_table
    from replicad.units import show_count, show_size, show_time

    checks = {check.database_id: check for check in logs}
    ids = list(dict.fromkeys([info.database_id for info in infos] + list(checks)))
    names = short_names(ids)
    for number, id in enumerate(ids):
        if number:
            print()
        print(f"database {names[id]}")
        rows = [
            (
                info.id,
                show_time(info.created_us)[:19] + "Z",
                info.position,
                show_size(info.size_bytes),
                show_size(info.own_bytes),
                info.file_count,
                show_metadata(info.metadata),
            )
            for info in infos
            if info.database_id == id
        ]
        if rows:
            print_table(("id", "made", "position", "size", "own", "files", "metadata"), rows, indent=2)
        else:
            print("  no backup")
        if (check := checks.get(id)) is not None:
            if not check.restorable:
                print(
                    f"  log of {names[id]}: nothing of it can be restored, there is no backup to start from "
                    f"({show_size(check.size_bytes)})"
                )
                continue
            until = show_time(check.end_commit_time_us)
            holes = f", with {show_count(len(check.gaps), 'gap')} (verify names them)" if check.gaps else ""
            print(
                f"  log of {names[id]}: from sequence number {check.first_sequence} to {check.end.sequence}, "
                f"{until}, {show_size(check.size_bytes)}{holes}"
            )


def show(
    target: TargetArgument,
    id: IdArgument,
    files: Annotated[bool, typer.Option("--files", help="Also list every file.")] = False,
    json: JsonOption = False,
) -> None:
    from replicad.cli.output import print_fields, print_json, print_table
    from replicad.units import show_count, show_size, show_time

    with open_reading(target) as engine:
        meta = engine.get_backup(id)
    if json:
        print_json(meta_document(meta))
        return
    kinds = {kind: [file for file in meta.files if file.kind == kind] for kind in ("shared", "private")}
    print(f"backup {meta.id} of database {meta.database_id.hex()}")
    print_fields(
        {
            "position": meta.position,
            "last commit": show_time(meta.commit_time_us) if meta.commit_time_us else "never",
            "made": show_time(meta.created_us),
            "tables hold": f"through sequence number {meta.flushed.sequence}",
            "size": f"{show_size(meta.size_bytes)} in {show_count(len(meta.files), 'file')}",
            **{kind: _extent(of) for kind, of in kinds.items()},
            "attachments": _extent(list(meta.attachments)),
            "copied then": f"{show_size(meta.copied_bytes)} in {show_count(meta.copied_files, 'file')}",
            "metadata": show_metadata(meta.metadata) or "none",
        },
        indent=2,
    )
    for record in meta.epochs:
        print(f"  epoch {record.epoch} ({record.id.hex()}) began after {record.fork}")
    if files:
        rows = [(file.kind, file.path, file.size_bytes, file.sha256.hex(), file.name) for file in meta.files]
        print_table(("kind", "path", "bytes", "sha256", "at the target"), rows, indent=2)


def _extent(files: list[Any]) -> str:
    from replicad.units import show_count, show_size

    return (
        f"{show_count(len(files), 'file')}, {show_size(sum(file.size_bytes for file in files))}"
        if files
        else "none"
    )


def show_metadata(metadata: bytes) -> str:
    from replicad.cli.output import show_bytes

    return show_bytes(metadata)


def meta_document(meta: BackupMeta) -> dict[str, Any]:
    """Everything about one backup, as JSON."""
    from replicad.cli.output import json_bytes

    return {
        "id": meta.id,
        "database_id": meta.database_id.hex(),
        "position": str(meta.position),
        "flushed": str(meta.flushed),
        "epochs": [
            {"epoch": record.epoch, "id": record.id.hex(), "fork": str(record.fork)} for record in meta.epochs
        ],
        "commit_time_us": meta.commit_time_us,
        "created_us": meta.created_us,
        "size_bytes": meta.size_bytes,
        "copied_bytes": meta.copied_bytes,
        "copied_files": meta.copied_files,
        "metadata": json_bytes(meta.metadata),
        "files": [
            {
                "kind": file.kind,
                "path": file.path,
                "name": file.name,
                "size_bytes": file.size_bytes,
                "sha256": file.sha256.hex(),
            }
            for file in meta.files
        ],
    }
