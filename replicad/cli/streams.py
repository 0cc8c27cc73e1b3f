"""The standard streams as they may be: closed, full, without a reader, of a small encoding."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from replicad.errors import OutputError

if TYPE_CHECKING:
    import asyncio


class _Stdout(io.FileIO):
    def write(self, data: Any) -> int:
        if not len(data):  # Libraries probe with it, and swallow the error.
            return 0
        try:
            return super().write(data)
        except OSError as error:
            # What still waits for it goes nowhere: Python would complain of it when it exits.
            _point_to_null(self.fileno())
            raise OutputError(error) from None


def prepare() -> None:
    """Before anything is opened or printed.

    A stream that was closed (`>&-`) goes to /dev/null: a file of ours that got its number would be written to
    by whatever writes to stdout. What stdout's encoding lacks is escaped, as on stderr: names of files may be
    any bytes.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if not _is_open(number):
            _point_to_null(number)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    before = sys.stdout
    if isinstance(before, io.TextIOWrapper):
        raw = _Stdout(1, "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            raw if before.write_through else io.BufferedWriter(raw),
            encoding=before.encoding,
            errors="backslashreplace",
            line_buffering=before.line_buffering,
            write_through=before.write_through,
        )


def when_unread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Calls when stdout is a pipe whose reader went away (`| head`), although nothing is written just now."""
    with contextlib.suppress(OSError, ValueError):
        number = sys.stdout.fileno()
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            # Nothing ever comes from this end of a pipe. So what wakes a reader is the error.
            loop.add_reader(number, call)


def drop(stream: TextIO) -> None:
    """What is written, and was, goes nowhere from now on."""
    with contextlib.suppress(OSError, ValueError):
        _point_to_null(stream.fileno())
        stream.flush()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _point_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
