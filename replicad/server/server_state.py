"""What all clients of one server share, and what commands may ask of the server.

Commands, `ClientState` and INFO know this class. The server that listens stands above them: it gives what
they may ask of it as callables.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection
from typing import Protocol, cast

from replicad import kernels
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.errors import CorruptionError
from replicad.net.addresses import Address
from replicad.net.guests import Guests
from replicad.server.access.login import Login
from replicad.server.access.users import User
from replicad.server.channels import Channels
from replicad.server.client_pause import ClientPause
from replicad.server.command_usage import CommandUsages
from replicad.server.committer import Committer
from replicad.server.conditions import Conditions
from replicad.server.cursors import Cursors
from replicad.server.interfaces import Node
from replicad.server.key_count import KeyCount
from replicad.server.linked_data import LinkedData
from replicad.server.monitors import Monitors
from replicad.server.options import KEYS_AT_ONCE, ServerOptions
from replicad.server.requests import limits_of
from replicad.server.simple_commands import add_simple_commands, group_of
from replicad.server.slow_log import SlowLog
from replicad.server.stats import ServerStats
from replicad.server.watches import Watches
from replicad.server.workers import Workers
from replicad.store.batch import WriteBatch
from replicad.store.database import Database
from replicad.version import VERSION

log = get_logger()


class ConnectedClient(Protocol):
    """What INFO and CLIENT LIST show of any client: `ClientState`, which knows `ServerState`."""

    id: int
    peer: str
    user: User

    @property
    def is_busy(self) -> bool: ...

    @property
    def has_subscribed(self) -> bool: ...

    def describe(self) -> bytes: ...


class ServerState:
    def __init__(
        self,
        store: Database,
        node: Node,
        options: ServerOptions,
        clock: Clock,
        *,
        login: Login,
        clients: Collection[ConnectedClient],
        relieve: Callable[[], None],
        shutdown: Callable[[], None],
        kill: Callable[[ConnectedClient], None],
    ) -> None:
        """`clients` are those that are connected, `relieve` frees memory when clients have buffered too much,
        `shutdown` ends the node, `kill` a connection."""
        self.store = store
        self.node = node
        self.options = options
        self.login = login
        self.clients = clients
        self.strangers = Guests[ConnectedClient]()
        """Those that are connected and have not logged in, where that is asked for."""
        self.relieve = relieve
        self.relieve_at = options.buffered_bytes_max // 4
        """Of input bytes: when that many have come, what clients have buffered is looked at again."""
        self.loop = asyncio.get_running_loop()
        self.now = clock.monotonic
        self.stats = ServerStats()
        self.slow_log = SlowLog(clock.wall_us, options.slow_seconds)
        self.monitors = Monitors(clock.wall_us, self.loop.call_soon)
        self.channels = Channels()
        self.pause = ClientPause(self.loop, self.now)

        # What INFO says about the server itself.
        self.version = VERSION
        self.durability = store.options.durability
        self.address = Address("", 0)
        self.started_at = self.now()
        self.run_id = secrets.token_hex(20)

        # What commands work with.
        self.watches = Watches()
        self.conditions = Conditions()
        self.committer = Committer(
            store, node, watches=self.watches, conditions=self.conditions, stats=self.stats, now=self.now
        )
        self.group = self.committer.group
        self.linked = LinkedData(store, node, self.committer, self.watches, clock)
        self.engine = kernels.Engine(
            store.reads(),
            self.group,
            self.stats.counts,
            lambda: self.now(),
            reply_bytes_max=options.reply_bytes_max,
            string_bytes_max=options.bulk_bytes_max,
            keys_max=KEYS_AT_ONCE,
        )
        add_simple_commands(self.engine)
        self.usage = CommandUsages(self.stats.counts, self.engine.calls, group_of)
        self.committer.wrote = self.usage.by_group["write"].add
        self.request_limits = limits_of(options)
        self.workers = Workers(self.loop, options.threads_max)
        self.cursors = Cursors()
        self.building = asyncio.Lock()
        """Held while a reply is built that may take `built_bytes_max` several times over."""
        self.new_batch: Callable[[], WriteBatch] = cast(Callable[[], WriteBatch], kernels.Batch)
        self._key_counts: dict[int, KeyCount] = {}
        self._shutdown = shutdown
        self.kill = kill

    def reset_counts(self) -> None:
        self.stats.reset()
        self.usage.reset()

    def key_count(self, family: int) -> KeyCount:
        counter = self._key_counts.get(family)
        if counter is None:
            there = set(self.store.families.values())
            self._key_counts = {id: known for id, known in self._key_counts.items() if id in there}
            counter = self._key_counts[family] = KeyCount(self.store, self.now, family)
        return counter

    def found_corruption(self, error: CorruptionError) -> None:
        """A read met bytes that are not what was written. From any thread."""
        self.loop.call_soon_threadsafe(self.node.found_corruption, error)

    def request_shutdown(self) -> None:
        if not self.committer.closing:
            self.committer.closing = True
            log.info("server.shutdown_requested")
            self.loop.call_soon(self._shutdown)
