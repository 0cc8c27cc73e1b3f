"""Where the program begins, as `replicad` and as `python -m replicad`: Ctrl-C ends it without a word.

This module and the package's own load nothing else, so that little is done before Ctrl-C is in hand. A verb
gets Python's KeyboardInterrupt, which lets it leave things in order; before and after it there is nothing to
put in order.
"""

import os

INTERRUPTED = 130


def start() -> int:
    """Runs the command line of the process; its exit code."""
    try:
        import signal

        ends_at_once = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if ends_at_once:
            # An exception could be swallowed by what is imported, or come out of it as another one.
            signal.signal(signal.SIGINT, _leave)
        from replicad.cli.main import main

        if ends_at_once:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main()
        if ends_at_once:
            signal.signal(signal.SIGINT, _leave)
        return code
    except KeyboardInterrupt:
        return INTERRUPTED


def _leave(number: int, frame: object) -> None:
    os._exit(INTERRUPTED)
