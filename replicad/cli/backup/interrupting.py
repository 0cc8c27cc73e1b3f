"""Ctrl-C while files are copied: the first stops what is under way and says so, the second ends at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from replicad.cli.exits import INTERRUPTED
from replicad.cli.output import print_error
from replicad.errors import StoppedError

if TYPE_CHECKING:
    from replicad.backup.read_only import BackupEngineReadOnly

_SHOW_CURSOR = "\033[?25h"


@contextlib.contextmanager
def stoppable(engine: BackupEngineReadOnly) -> Iterator[None]:
    """Within the block, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        nonlocal interrupted
        if interrupted:
            if sys.stderr.isatty():
                print(_SHOW_CURSOR, end="", file=sys.stderr, flush=True)
            os._exit(INTERRUPTED)
        interrupted = True
        print_error("stopping what is under way; Ctrl-C again ends at once")
        # From another thread, because this one may hold the lock that it needs.
        threading.Thread(target=engine.stop_backup, daemon=True).start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except StoppedError:
        if not interrupted:
            raise
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
