"""Events of the log: a name and its fields. Any thread may log.

    log.info("wal.rotated", segment=…)  ──>  structlog, as the program around us configured it
                                        └─>  the writer that `write_with` was given, in a daemon

structlog loads rich, and takes a tenth of a second. Most processes log nothing, or lines of JSON: so it is
loaded when the first event is given to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context, ContextVar, copy_context
from types import MappingProxyType
from typing import Any

Writer = Callable[[str, str, dict[str, Any]], None]
"""Takes the level, the event and its fields."""

_writer: Writer | None = None

_bound: ContextVar[Mapping[str, Any]] = ContextVar("replicad_event_fields", default=MappingProxyType({}))


def write_with(writer: Writer) -> None:
    """From now on every event of this process goes to `writer`."""
    global _writer
    _writer = writer


def bind(**fields: Any) -> None:
    """From now on every event of this task, and of the tasks that it makes, has these fields, too; None takes
    one away."""
    bound = {**_bound.get(), **fields}
    _bound.set({name: value for name, value in bound.items() if value is not None})


def unbound() -> Context:
    """This context without what `bind` gave it: for what outlives the task that begins it."""
    context = copy_context()
    context.run(_bound.set, MappingProxyType({}))
    return context


class Logger:
    """What a module logs with."""

    __slots__ = ("_name", "_structlog")

    def __init__(self, name: str) -> None:
        self._name = name
        self._structlog: Any = None

    def debug(self, event: str, **fields: Any) -> None:
        self._log("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._log("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._log("error", event, fields)

    def critical(self, event: str, **fields: Any) -> None:
        self._log("critical", event, fields)

    def _log(self, level: str, event: str, fields: dict[str, Any]) -> None:
        fields = {**_bound.get(), **fields}
        if _writer is not None:
            _writer(level, event, fields)
            return

        # Nobody said where events go: the program around us has configured structlog, or its default holds.
        if self._structlog is None:
            import structlog

            self._structlog = structlog.get_logger(self._name)
        getattr(self._structlog, level)(event, **fields)


def get_logger(name: str = "replicad") -> Logger:
    return Logger(name)
