"""The configuration, read again while the node runs.

    read and check ──> compare ──> every part prepares ──> all parts swap, and nothing waits between them
          │               │               │
          └──── wrong ────┴─── refuses ───┴──> the old configuration stays; log and caller learn why

`config/run_time.py` says which keys are taken over. A part that can take over some registers here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from replicad.daemon.config import NodeConfig
from replicad.daemon.config.changes import compare
from replicad.env.events import get_logger
from replicad.errors import ConfigError
from replicad.replication.tasks import in_thread

log = get_logger("replicad.daemon")

Read = Callable[[], NodeConfig]
Swap = Callable[[], None]
Prepare = Callable[[NodeConfig], Swap]


class Reload:
    """Belongs to the event loop."""

    def __init__(self, config: NodeConfig, read: Read | None) -> None:
        """`read` reads the configuration from where it came from, in a thread; None: from nowhere."""
        self.config = config
        """What the node runs with."""
        self._read = read
        self._parts: list[Prepare] = []
        self._lock = asyncio.Lock()

    def register(self, prepare: Prepare) -> None:
        """`prepare` gets the configuration to run with, and returns what takes it over. It is called at each
        reload, also when nothing of its part changed: files that keys name may have. It may raise
        ConfigError, the swap must not fail."""
        self._parts.append(prepare)

    async def reload(self) -> dict[str, Any]:
        """Which keys were taken over, and which need a restart. Raises ConfigError; then all is as before."""
        if self._read is None:
            raise ConfigError("this node does not know where its configuration came from")
        async with self._lock:
            try:
                changes = compare(self.config, await in_thread(self._read))
                swaps = [prepare(changes.running) for prepare in self._parts]
            except ConfigError as error:
                log.error("config.refused", reason=str(error))
                raise

            for swap in swaps:
                swap()
            self.config = changes.running
            log.info("config.reloaded", **changes.document())
            return changes.document()
