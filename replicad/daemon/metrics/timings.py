"""How long things take on this node, as histograms that count from the start of what they measure."""

from __future__ import annotations

from replicad.daemon.open_store import OpenStore
from replicad.daemon.ports.client_port import ClientPort
from replicad.daemon.process.loop_lag import LoopLag
from replicad.env.durations import Durations


class NodeTimings:
    def __init__(self, *, clients: ClientPort, store: OpenStore, loop_lag: LoopLag) -> None:
        self._clients = clients
        self._store = store
        self._loop_lag = loop_lag

    @property
    def event_loop_lag(self) -> Durations:
        return self._loop_lag.durations

    @property
    def log_sync(self) -> Durations | None:
        store = self._store.database
        return None if store is None else store.timings.sync

    @property
    def apply(self) -> Durations | None:
        store = self._store.database
        return None if store is None else store.timings.apply

    @property
    def commit(self) -> Durations | None:
        server = self._clients.server
        return None if server is None else server.state.stats.commit_durations

    @property
    def commands(self) -> dict[str, Durations]:
        """By the group of the command."""
        server = self._clients.server
        return {} if server is None else server.state.usage.by_group
