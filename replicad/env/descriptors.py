"""How many files and connections this process may have open at once."""

from __future__ import annotations

import contextlib
import resource
import sys


def raise_descriptor_limit() -> int:
    """Takes as many as the system lets this process have, and returns how many that are.

    A store keeps each of its tables open, and the usual soft limit of 1024 is there for programs that call
    select(), which nothing here does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
