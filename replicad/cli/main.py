"""The program: its verbs, and how an error becomes one line and an exit code.

Verb modules import only what their signature needs; the work is imported when a verb runs, so that `--help`
and the short verbs start at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from replicad.cli import backup, certificates, streams
from replicad.cli.exits import ERROR, INTERRUPTED, OK, SUMMARY, USAGE, exit_code
from replicad.cli.output import print_error
from replicad.cli.plain_help import make_plain
from replicad.cli.verbs import (
    bench,
    checkpoint,
    config,
    demo,
    digest,
    failover,
    init,
    inspect,
    link,
    primary,
    promote,
    rejoin,
    reload,
    replica,
    replica_pause,
    slot,
    status,
    switchover,
    top,
    updates,
    users,
    verify,
)
from replicad.env import raise_descriptor_limit
from replicad.errors import OutputError, ReplicadError
from replicad.version import VERSION

app = typer.Typer(
    name="replicad",
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"replicad {VERSION}")
        raise typer.Exit


@app.callback(
    help="""A key-value store that survives its machine.

    One primary owns the writes; replicas hold the same data, sequence number for sequence number, and serve
    reads. Any Redis client talks to both. NODE is the client address of a running node (HOST:PORT, or :PORT
    for this machine; rediss://USER@HOST:PORT, unix:/PATH), or the path of a data directory. The options of
    this page come before the verb; ~/.config/replicad/client.toml keeps them.
    """,
    epilog=f"""\
\b
Examples:
  replicad demo                                       see it work, in a minute
  replicad primary --data /tmp/p                      a primary; redis-cli -p 6380 talks to it
  replicad replica --data /tmp/r --primary :6381 --listen :6390
  replicad status :6380 :6390                         whether they are well, and what to do if not
  replicad verify :6380 :6390                         whether both hold the same
  replicad backup create --node :6380 /srv/backups    a backup; replicad backup --help has the rest

{SUMMARY}""",
)
def replicad(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
    tls: Annotated[bool | None, typer.Option("--tls/--no-tls", help="Speak TLS with the nodes.")] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The CA that vouches for the nodes; implies --tls.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="A certificate to show them.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="The user to log in as.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its password or token, on the first line.")
    ] = None,
) -> None:
    from replicad.cli.nodes.access import Access, say

    say(Access(tls=tls, ca_file=ca, cert_file=cert, key_file=key, user=user, password_file=password_file))


for _module in (
    init,
    primary,
    replica,
    config,
    reload,
    status,
    top,
    promote,
    switchover,
    rejoin,
    replica_pause,
    failover,
    slot,
    link,
    verify,
    digest,
    updates,
    checkpoint,
    backup,
    certificates,
    users,
    inspect,
    demo,
    bench,
):
    _module.register(app)
make_plain(app)


def main(arguments: list[str] | None = None) -> int:
    """Runs a command line (that of the process by default) and returns its exit code."""
    if arguments is None:
        arguments = sys.argv[1:]
        streams.prepare()
        raise_descriptor_limit()
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except OutputError as error:
        return code or _output_lost(error)
    return code


def _run(arguments: list[str]) -> int:
    try:
        result = app(args=arguments or ["--help"], prog_name="replicad", standalone_mode=False)
        if not arguments:
            return USAGE
        return result if isinstance(result, int) else OK
    except OutputError as error:
        return _output_lost(error)
    except ReplicadError as error:
        print_error("; ".join([str(error), *getattr(error, "__notes__", ())]))
        return exit_code(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return ERROR
    except Exception as error:
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        context = getattr(error, "ctx", None)
        verb = "replicad" if context is None else context.command_path
        print_error(f"{describe()} ({verb} --help explains)")
        return USAGE


def _output_lost(error: OutputError) -> int:
    """The exit code: a reader that went away has seen enough."""
    if error.has_no_reader:
        return OK
    print_error(str(error))
    return ERROR


if __name__ == "__main__":
    sys.exit(main())
