"""Standard error of a daemon, written by a thread of its own: nothing else waits for its reader.

    log event, warning, traceback ──> lines, at most LINES_MAX ──> the thread ──> file descriptor
                                            │ full                     │ cannot be written
                                            └──────> dropped, counted <┘

The reader may be stopped, its pipe closed, or its disk full: the program goes on, and what cannot be written
is dropped. The next line that can be written is followed by how many were lost.
"""

from __future__ import annotations

import io
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

LINES_MAX = 4096
LINE_BYTES_MAX = 64 * 1024
"""A longer line is cut; so LINES_MAX bounds the memory."""
WRITABLE_MS = 1000


class LogStream(io.TextIOBase):
    """A text stream for lines; any thread may write to it. It never raises, and never blocks.

    `on_recovered` is called, by the thread that writes, with the number of lines that were lost before.
    """

    def __init__(self, descriptor: int, on_recovered: Callable[[int], None] = lambda lines: None) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._on_recovered = on_recovered
        self._isatty = os.isatty(descriptor)
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._part = ""
        self._writing = False
        self._unsaid = 0
        self._torn = False
        """The last line that was written has no end."""
        self.dropped = 0
        """Lines that were lost since the start."""
        threading.Thread(target=self._run, name="log", daemon=True).start()

    # What writes to it sees a file.

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._isatty

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        """Takes the text; it is written when its line ends."""
        with self._changed:
            *lines, self._part = (self._part + text).split("\n")
            self._part = self._part[:LINE_BYTES_MAX]
            for line in lines:
                self._add(line)
        return len(text)

    def flush(self) -> None:
        """Does not wait; `drain` does."""

    def drain(self, seconds: float) -> bool:
        """Waits at most that long until everything is written or dropped; whether it is."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._lines or self._writing:
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return False
            return True

    def _add(self, line: str) -> None:
        if len(self._lines) >= LINES_MAX:
            self._drop()
            return
        self._lines.append(line.encode("utf-8", "backslashreplace")[:LINE_BYTES_MAX] + b"\n")
        self._changed.notify_all()

    def _drop(self) -> None:
        self.dropped += 1
        self._unsaid += 1

    # The thread.

    def _run(self) -> None:
        while True:
            # Without the lock held while it writes: a reader that is stopped holds up this thread only.
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                line, self._writing = self._lines.popleft(), True
            written = self._try_to_write(line)

            # A line that was written says that the reader is back: now it can be told what it missed.
            with self._changed:
                if not written:
                    self._drop()
                lost, self._unsaid = (self._unsaid, 0) if written else (0, self._unsaid)
            if lost:
                self._on_recovered(lost)
            with self._changed:
                self._writing = False
                self._changed.notify_all()

    def _try_to_write(self, line: bytes) -> bool:
        """Whether the whole line is written. What a full disk cut off gets an end before the next line."""
        left = b"\n" + line if self._torn else line
        while left:
            try:
                written = os.write(self._descriptor, left)
            except BlockingIOError:
                # Another process shares the descriptor, and made it non-blocking.
                self._wait_until_writable()
                continue
            except OSError:
                return False
            left = left[written:]
            self._torn = bool(left) and left != line
        return True

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll(WRITABLE_MS)
