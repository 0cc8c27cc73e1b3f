"""A proof as a command: its exit status, and a quiet end at Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130


def run(main: Callable[[], int]) -> NoReturn:
    """Ends this process with what `main` returns."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
