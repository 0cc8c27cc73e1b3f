"""`replicad top`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from replicad.cli.arguments import TimeoutOption

if TYPE_CHECKING:
    from replicad.cli.top.view import LiveView

SECONDS = 1.0
WIDTH = 120
"""Of a picture that no terminal limits."""


def register(app: typer.Typer) -> None:
    app.command(
        help="""Nodes as they work, refreshed each second: what is wrong, and how commands, lag and disk move.

    Ctrl-C ends it. Where stdout is not a terminal it prints one picture and ends.
    """,
        epilog="""\
\b
Examples:
  replicad top                        the node at 127.0.0.1:6380
  replicad top :6380 :6390
  replicad top :6380 | cat            one picture""",
    )(top)


def top(
    nodes: Annotated[
        list[str] | None, typer.Argument(metavar="[NODE]...", help="HOST:PORT of running nodes.")
    ] = None,
    timeout: TimeoutOption = 1.0,
) -> int:
    from replicad.cli.exits import OK
    from replicad.cli.nodes.ask import ask_nodes
    from replicad.cli.nodes.kept import KeptNodes
    from replicad.cli.terminal import print_lines
    from replicad.cli.top.sparkline import ASCII, BLOCKS
    from replicad.cli.top.view import LiveView

    kept, names = KeptNodes(), nodes or [":6380"]
    speaks_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    view = LiveView(lambda: ask_nodes(names, timeout, kept.ask), marks=BLOCKS if speaks_utf8 else ASCII)
    with contextlib.closing(kept):
        if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            _run(view)
        else:
            print_lines(view.next_frame(WIDTH))
    return OK


def _run(view: LiveView) -> None:
    """Until Ctrl-C or SIGTERM. The other screen of the terminal is used, and the first one comes back."""
    import signal
    import time

    from rich.console import Console
    from rich.live import Live

    from replicad.cli.terminal import styled

    # An exception within a half written frame, or while the screen is exchanged, would leave the terminal as
    # it is then. So the signals wait until they are asked for. Threads inherit that, so it comes first.
    ends = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        # What is wrong with the command line must be readable, so this frame is made on the first screen.
        console = Console(highlight=False)
        frame = view.next_frame(console.width)

        with Live(styled(frame), console=console, screen=True, auto_refresh=False) as live:
            live.refresh()
            due = time.monotonic() + SECONDS
            while signal.sigtimedwait(ends, max(0.0, due - time.monotonic())) is None:
                live.update(styled(view.next_frame(console.width)), refresh=True)

                # A node that was slow to answer does not make the next frames come all at once.
                due = max(due, time.monotonic() - SECONDS) + SECONDS
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
