"""The configuration, read again while the node runs.

    read and check ──> compare ──> every part prepares ──> all parts swap, and nothing waits between them
          │               │               │
          └──── wrong ────┴─── refuses ───┴──> the old configuration stays; log and caller learn why

`config/run_time.py` says which keys are taken over. A part that can take over some registers here.

CONFIG SET changes what the node runs with in the same way, without reading: the next reload goes back to what
is written, and CONFIG REWRITE writes what was set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicad.daemon.config import NodeConfig
from replicad.daemon.config.changes import Changes, compare
from replicad.daemon.config.keys import KeyPath
from replicad.daemon.config.setting import values_of, with_values
from replicad.env.events import get_logger
from replicad.errors import ConfigError
from replicad.replication.tasks import in_thread

log = get_logger("replicad.daemon")

Swap = Callable[[], None]
Prepare = Callable[[NodeConfig], Swap]


@dataclass(frozen=True)
class ConfigSource:
    """Where a configuration came from. Both functions block, and raise ConfigError."""

    read: Callable[[], NodeConfig]
    """Reads it again."""
    rewrite: Callable[[NodeConfig, Mapping[KeyPath, Any]], Path]
    """Has the next readings find these values for the node that runs with that configuration. Returns the
    file that it wrote; may raise OSError, too."""


_FROM_NOWHERE = "this node does not know where its configuration came from"


class Reload:
    """Belongs to the event loop."""

    def __init__(self, config: NodeConfig, source: ConfigSource | None) -> None:
        """`source` is None where a program made the configuration itself."""
        self.config = config
        """What the node runs with."""
        self._source = source
        self._set: dict[KeyPath, Any] = {}
        """What CONFIG SET changed since the last reading."""
        self._parts: list[Prepare] = []
        self._lock = asyncio.Lock()

    def register(self, prepare: Prepare) -> None:
        """`prepare` gets the configuration to run with, and returns what takes it over. It is called at each
        reload, also when nothing of its part changed: files that keys name may have. It may raise
        ConfigError, the swap must not fail."""
        self._parts.append(prepare)

    async def reload(self) -> dict[str, Any]:
        """Which keys were taken over, and which need a restart. Raises ConfigError; then all is as before."""
        if self._source is None:
            raise ConfigError(_FROM_NOWHERE)
        async with self._lock:
            try:
                read = await in_thread(self._source.read)
                changes = self._take_over(read)
            except ConfigError as error:
                log.error("config.refused", reason=str(error))
                raise
            self._set.clear()
            log.info("config.reloaded", **changes.document())
            return changes.document()

    def set(self, texts: Mapping[str, str]) -> None:
        """Takes over these values of `section.key`: all, or none. Raises ConfigError."""
        values = values_of(texts, type(self.config))
        changes = self._take_over(with_values(self.config, values))
        self._set |= values
        log.info("config.set", changed=list(changes.changed))

    async def rewrite(self) -> Path:
        """Writes what was set where the next reading finds it. Raises ConfigError, OSError."""
        if self._source is None:
            raise ConfigError(_FROM_NOWHERE)
        async with self._lock:
            values = dict(self._set)
            if not values:
                raise ConfigError("CONFIG SET has changed nothing since the configuration was read")
            file = await in_thread(self._source.rewrite, self.config, values)
            log.info("config.rewritten", file=str(file), keys=[".".join(path) for path in values])
            return file

    def _take_over(self, config: NodeConfig) -> Changes[NodeConfig]:
        changes = compare(self.config, config)
        swaps = [prepare(changes.running) for prepare in self._parts]
        for swap in swaps:
            swap()
        self.config = changes.running
        return changes
