"""`replicad backup create`."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Annotated, Any

import typer

from replicad.cli.arguments import JsonOption
from replicad.cli.backup.arguments import WORKERS, RateOption, check_target, open_engine


def register(app: typer.Typer) -> None:
    app.command(
        help="""Back up one exact state, copying only what the target does not have.

    A running node, primary or replica, makes the backup itself while it goes on serving. It shows its
    progress in `replicad status`. A backup that fails or is stopped leaves the target as it was, and the
    next one uses what was copied.

    --workers and --rate are for what this process copies, with --data and --from.
    """,
        epilog="""\
\b
Examples:
  replicad backup create --node :6380 /srv/backups      the running node writes it (a path on its machine)
  replicad backup create --node :6380                   to the target in the node's [backup] section
  replicad backup create --data /var/lib/replicad/primary /srv/backups         its daemon must be down
  replicad backup create --data /srv/copies/monday /srv/backups                a checkpoint
  replicad backup create --from 127.0.0.1:6381 s3://backups/orders     streamed through this machine""",
    )(create)


def create(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[TARGET]", help="A directory, or a URL such as s3://bucket/prefix."),
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="HOST:PORT", help="A running node's client address.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="A data directory, or a checkpoint.")
    ] = None,
    remote: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="HOST:PORT", help="A primary's replication address; this machine copies."
        ),
    ] = None,
    flush: Annotated[
        bool,
        typer.Option(
            "--flush", help="Flush memory to tables first, instead of copying the newest log as it is."
        ),
    ] = False,
    metadata: Annotated[
        str, typer.Option("--metadata", metavar="TEXT", help="Kept with the backup and shown by list.")
    ] = "",
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, help="Files that are copied at once.  [default: 4]"),
    ] = None,
    rate: RateOption = None,
    json: JsonOption = False,
) -> None:
    from replicad.cli.output import print_json
    from replicad.errors import UsageError

    if sum(given is not None for given in (node, data, remote)) != 1:
        raise UsageError("say what to back up: --node HOST:PORT, --data DIR or --from HOST:PORT")
    if node is not None:
        if workers is not None or rate is not None:
            raise UsageError(
                "--workers and --rate are not for --node: the node copies, as its [backup] section says"
            )
        document = _by_node(node, target, flush=flush, metadata=metadata)
    else:
        if target is None:
            raise UsageError("name the target: a directory, or a URL")
        from replicad.cli.backup.interrupting import stoppable
        from replicad.cli.backup.progress import bar

        workers = workers or WORKERS
        with (
            open_engine(target, workers=workers, rate=rate, new=True) as engine,
            stoppable(engine),
            _source(data, remote, workers) as source,
            bar("backing up") as progress,
        ):
            info = engine.create_backup(
                source,
                flush_before_backup=flush and remote is None,
                metadata=metadata.encode("utf-8", "surrogateescape"),
                progress=progress,
            )
        document = {**info.as_dict(), "target": engine.target.url}
    if json:
        print_json(document)
    else:
        _print(document)


@contextlib.contextmanager
def _source(directory: Path | None, remote: str | None, workers: int) -> Any:
    """A copy that nobody opens is read where it is; the directory of a node is opened in its role."""
    if remote is not None:
        from replicad.cli.backup.remote import RemoteSource
        from replicad.cli.nodes.access import parse_node_address

        yield RemoteSource(parse_node_address(remote), workers)
        return
    assert directory is not None
    from replicad.cli.nodes.offline import open_as_it_is
    from replicad.env import LocalFileSystem
    from replicad.store.manifest.file import load

    if load(LocalFileSystem(), directory).copy and not (directory / "state").exists():
        yield directory
        return
    try:
        database = open_as_it_is(directory)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        yield directory  # Nobody writes there, so it is read where it is.
        return
    with database:
        yield database


def _by_node(address: str, target: str | None, *, flush: bool, metadata: str) -> dict[str, Any]:
    import json

    from replicad.cli.nodes import access
    from replicad.cli.nodes.node import LiveNode

    arguments: list[bytes | str] = []
    if target is not None:
        from replicad.backup.address import parse_target

        check_target(target, new=True)
        place = parse_target(target)
        arguments += ["TARGET", str(place.absolute() if isinstance(place, Path) else place)]
    if flush:
        arguments.append("FLUSH")
    if metadata:
        arguments += ["METADATA", metadata.encode("utf-8", "surrogateescape")]
    with contextlib.closing(LiveNode.at(access.parse_node_address(address))) as live:
        live.client.set_timeout(None)
        document: dict[str, Any] = json.loads(live.client.call("REPLICAD.BACKUP", "CREATE", *arguments))
    return document


def _print(document: dict[str, Any]) -> None:
    from replicad.units import show_count, show_size

    print(f"backup {document['id']} at {document['target']}, {document['position']}")
    print(
        f"  {show_count(document['files'], 'file')}, {show_size(document['size_bytes'])}; copied "
        f"{show_count(document['copied_files'], 'file')}, {show_size(document['copied_bytes'])}"
    )
