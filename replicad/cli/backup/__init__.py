"""`replicad backup`: one file for each group of verbs."""

from __future__ import annotations

import typer

from replicad.cli.backup import create, remove, restore, show, verify

backups = typer.Typer(
    rich_markup_mode=None,
    help="""Backups: copies that outlive the machine.

TARGET is a directory, or a URL such as s3://bucket/prefix (pip install 'replicad[s3]'; the credentials
are those that its library finds). Several databases, replicas and restored copies may share one target.""",
    epilog="""\
\b
Examples:
  replicad backup create --node :6380 /srv/backups       a running node writes a backup
  replicad backup list /srv/backups
  replicad backup verify /srv/backups --all --checksums
  replicad backup restore /srv/backups /srv/restored     the latest, into a directory
  replicad backup restore /srv/backups /srv/restored --time 2026-03-01T12:00:00Z
  replicad backup purge /srv/backups --keep 14
docs/backup.md explains more.""",
)


def register(app: typer.Typer) -> None:
    app.add_typer(backups, name="backup")


for _module in (create, show, verify, restore, remove):
    _module.register(backups)
