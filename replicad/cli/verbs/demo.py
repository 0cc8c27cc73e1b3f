"""`replicad demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PIPED_WIDTH = 100


def register(app: typer.Typer) -> None:
    app.command(
        help="""A primary and two replicas on real data: loaded, killed, restarted, compared.

    Loads every file of Python's standard library, lets a replica join afterwards, writes annotated
    transactions while nodes are killed with SIGKILL, and checks at the end that nothing was lost, nothing
    happened twice, and all nodes hold the same. Takes less than a minute. Uses free ports of the loopback.
    """,
        epilog="\b\nExamples:\n  replicad demo\n  replicad demo --keep /tmp/demo",
    )(demo)


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Leave the three data directories and logs in DIR (new or empty)."),
    ] = None,
) -> None:
    import contextlib
    import signal
    import sys
    import tempfile

    from rich.console import Console

    from replicad.cli.demonstration.library import standard_library
    from replicad.cli.demonstration.reporter import Reporter
    from replicad.cli.demonstration.story import Demonstration
    from replicad.errors import UsageError

    # Ended from outside, the demonstration ends its daemons as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        if keep is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replicad-demo-")))
        else:
            directory = keep.absolute()
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise UsageError(f"{keep} is not empty")
        reporter = Reporter(Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH))
        demonstration = Demonstration(directory, reporter)
        stack.callback(demonstration.abandon)
        try:
            table = demonstration.run(standard_library())
        except BaseException:
            demonstration.abandon()
            for daemon in demonstration.daemons:
                for line in daemon.log_tail():
                    reporter.console.print(f"  {daemon.name} | {line}", markup=False, soft_wrap=True)
            raise
        reporter.console.print(table)
        reporter.console.print(f"OK, in {reporter.seconds:.1f} s", markup=False)
        if keep is not None:
            reporter.console.print(f"data directories and logs: {directory}", markup=False)
