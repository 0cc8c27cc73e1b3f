"""Events with fields, one a line, on standard error: JSON for machines, colours for a terminal."""

from __future__ import annotations

import atexit
import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO, cast

from replicad.daemon.config import LogConfig
from replicad.daemon.process.log_stream import LogStream
from replicad.daemon.process.repeats import Repeats
from replicad.env.events import Writer, get_logger, write_with

log = get_logger("replicad.daemon")

DRAIN_SECONDS = 1.0
"""How long the end of the process waits for its last lines to be written."""

_stream: LogStream | None = None


def configure(config: LogConfig) -> None:
    """Says where the events of this process go. A thread writes all that goes to standard error: a reader
    that is stopped or gone, or a full disk, must not hold up the program."""
    global _stream

    if _stream is None:
        _stream = LogStream(2, lambda lines: log.warning("log.lines_dropped", lines=lines))
        atexit.register(_stream.drain, DRAIN_SECONDS)
    # Warnings, asyncio's and libraries' loggers, and tracebacks look for it here.
    sys.stderr = _stream

    level = logging.getLevelNamesMapping()[config.level.upper()]
    if config.format == "console" or (config.format == "auto" and _stream.isatty()):
        _show_on_console(_stream, level)
    else:
        write_with(_json_lines(_stream, level))


def reconfigure(config: LogConfig) -> None:
    """Takes over the level, in a process whose events `configure` directs."""
    if _stream is not None:
        configure(config)


def _json_lines(stream: LogStream, least: int) -> Writer:
    """Writes the events of that level and above as JSON."""
    levels, repeats = logging.getLevelNamesMapping(), Repeats()

    def write(level: str, event: str, fields: dict[str, Any]) -> None:
        if levels[level.upper()] < least:
            return
        left_out = repeats.admit(level, event, time.monotonic())
        if left_out is None:
            return
        if left_out:
            fields = {**fields, "left_out": left_out}
        error = fields.pop("exc_info", None)
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = fields | {"event": event, "level": level, "timestamp": now}
        if error is not None:
            line["exception"] = "".join(traceback.format_exception(error)).rstrip("\n")
        stream.write(json.dumps(line, default=str) + "\n")

    return write


def _show_on_console(stream: LogStream, least: int) -> None:
    import structlog  # it takes long to load, and JSON needs nothing of it

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _limited(Repeats()),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=stream.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, stream)),
        # A logger that is kept would keep its level, too, which a reload may change.
        cache_logger_on_first_use=False,
    )


def _limited(repeats: Repeats) -> Any:
    """As a processor of structlog."""
    from structlog import DropEvent

    def limit(_: Any, level: str, entry: dict[str, Any]) -> dict[str, Any]:
        left_out = repeats.admit(level, str(entry.get("event")), time.monotonic())
        if left_out is None:
            raise DropEvent
        if left_out:
            entry["left_out"] = left_out
        return entry

    return limit


def lines_dropped() -> int:
    """Lines of the log that could not be written since the start."""
    return 0 if _stream is None else _stream.dropped
