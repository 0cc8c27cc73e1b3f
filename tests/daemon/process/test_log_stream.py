"""Standard error that nobody reads, or that cannot be written: the program never notices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from replicad.daemon.process.log_stream import LINE_BYTES_MAX, LINES_MAX, LogStream

WAIT_SECONDS = 20


@contextmanager
def piped(on_recovered: Callable[[int], None] = lambda lines: None) -> Iterator[tuple[LogStream, int, int]]:
    """A stream into a pipe, with the pipe's two ends."""
    reader, writer = os.pipe()
    stream = LogStream(writer, on_recovered)
    try:
        yield stream, reader, writer
    finally:
        # Reads what is left, so that the stream's thread waits for lines and not in a write.
        os.set_blocking(reader, False)
        while not stream.drain(0.01):
            read_all(reader)
        os.close(reader)


def read_all(reader: int) -> bytes:
    """What a pipe holds that does not block."""
    found = b""
    try:
        while part := os.read(reader, 1 << 16):
            found += part
    except (BlockingIOError, OSError):
        pass
    return found


def test_lines_are_written_in_order() -> None:
    """A line is written when it has its end, whatever the pieces it came in."""
    with piped() as (stream, reader, _):
        stream.write("one\ntw")
        stream.write("o\nthr")
        assert stream.drain(WAIT_SECONDS)
        assert os.read(reader, 100) == b"one\ntwo\n"


def test_a_reader_that_stands_still_holds_nobody() -> None:
    """The pipe is full: writing goes on at once; what does not fit is dropped, and said later."""
    lost: list[int] = []
    with piped(lost.append) as (stream, reader, _):
        line = "x" * 1023 + "\n"
        for _ in range(LINES_MAX + 200):
            stream.write(line)
        assert stream.dropped > 0
        assert not stream.drain(0)
        os.set_blocking(reader, False)
        while not stream.drain(0.01):
            read_all(reader)
        assert sum(lost) == stream.dropped


@pytest.mark.parametrize("path", ["/dev/full", None])
def test_lines_that_cannot_be_written_are_counted_and_said_later(path: str | None) -> None:
    """No error is raised on a full disk or a pipe without a reader; the next line that can be written is
    followed by the count."""
    said: list[int] = []
    if path is None:
        reader, descriptor = os.pipe()
        os.close(reader)
    else:
        descriptor = os.open(path, os.O_WRONLY)
    stream = LogStream(descriptor, said.append)
    for _ in range(3):
        stream.write("lost\n")
    assert stream.drain(WAIT_SECONDS)
    assert (stream.dropped, said) == (3, [])
    good, writer = os.pipe()
    os.dup2(writer, descriptor)
    stream.write("written\n")
    assert stream.drain(WAIT_SECONDS)
    assert os.read(good, 100) == b"written\n"
    assert (stream.dropped, said) == (3, [3])


def test_a_line_that_was_cut_off_gets_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that becomes full in the middle of a line must not make one line of two."""
    with piped() as (stream, reader, writer):
        write = os.write
        errors = [OSError(28, "No space left on device")]

        def half(descriptor: int, data: bytes) -> int:
            if descriptor != writer:
                return write(descriptor, data)
            if data == b"abcd\n":
                return write(descriptor, b"ab")
            if errors:
                raise errors.pop()
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", half)
        stream.write("abcd\nefgh\n")
        assert stream.drain(WAIT_SECONDS)
        assert os.read(reader, 100) == b"ab\nefgh\n"


def test_a_line_without_end_takes_no_memory() -> None:
    with piped() as (stream, reader, _):
        for _ in range(4):
            stream.write("x" * LINE_BYTES_MAX)
        stream.write("\nend\n")
        os.set_blocking(reader, False)
        found = b""
        while not stream.drain(0.01):
            found += read_all(reader)
        found += read_all(reader)
        assert found == b"x" * LINE_BYTES_MAX + b"\nend\n"


PROGRAM = """
import logging, os, sys, warnings
from replicad.daemon.process import logs
from replicad.daemon.config import LogConfig
from replicad.env.events import get_logger
logs.DRAIN_SECONDS = 0.05
logs.configure(LogConfig(format="json"))
get_logger().warning("event")
logging.getLogger("asyncio").error("a library")
warnings.warn("a warning", ResourceWarning)
print("a traceback", file=sys.stderr)
os.write(1, b"through")
"""


def test_whatever_a_process_says_on_standard_error_goes_through_it() -> None:
    """Events, libraries' loggers, warnings and tracebacks: none blocks in a pipe that nobody reads, and the
    process ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 512)
    os.set_blocking(writer, True)
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", PROGRAM], stdout=subprocess.PIPE, stderr=writer, timeout=20
    )
    os.close(writer)
    os.close(reader)
    assert (done.returncode, done.stdout) == (0, b"through")
