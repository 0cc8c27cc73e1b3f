"""Events with fields, one a line, on standard error: JSON for machines, colours for a terminal."""

from __future__ import annotations

import atexit
import logging
import sys
from typing import TextIO, cast

import structlog

from replicad.daemon.config import LogConfig
from replicad.daemon.process.log_stream import LogStream

log = structlog.get_logger("replicad.daemon")

DRAIN_SECONDS = 1.0
"""How long the end of the process waits for its last lines to be written."""

_stream: LogStream | None = None


def configure(config: LogConfig) -> None:
    """Sets structlog up for this process. A thread writes all that goes to standard error: a reader that is
    stopped or gone, or a full disk, must not hold up the program."""
    global _stream

    if _stream is None:
        _stream = LogStream(2, lambda lines: log.warning("log.lines_dropped", lines=lines))
        atexit.register(_stream.drain, DRAIN_SECONDS)
    # Warnings, asyncio's and libraries' loggers, and tracebacks look for it here.
    sys.stderr = _stream

    console = config.format == "console" or (config.format == "auto" and _stream.isatty())
    renderer: structlog.typing.Processor
    if console:
        renderer = structlog.dev.ConsoleRenderer(colors=_stream.isatty())
    else:
        renderer = structlog.processors.JSONRenderer(default=str)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[config.level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _stream)),
        cache_logger_on_first_use=True,
    )


def lines_dropped() -> int:
    """Lines of the log that could not be written since the start."""
    return 0 if _stream is None else _stream.dropped
