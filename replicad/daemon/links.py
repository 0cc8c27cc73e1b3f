"""The links of a node while it is the primary: those that it serves, and those that it follows.

    operator ──REPLICAD.LINK──> the data (`LinkedData`) ──reconcile, once a second──> a `LinkTarget` for each
    another primary ──LINK──> a `LinkSource` for each, under the database id of the target

What is asked for stands in the data: a new primary of this site goes on with it. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from replicad.daemon.data.node_data import NodeData
from replicad.daemon.open_store import OpenStore
from replicad.daemon.ports.client_port import ClientPort
from replicad.daemon.tasks import NodeTasks
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import InvalidArgument, NotFoundError
from replicad.net.addresses import Address
from replicad.net.doors import Door
from replicad.replication.links.options import LinkOptions, prefix_text
from replicad.replication.links.source import LinkSource
from replicad.replication.links.target import LinkTarget
from replicad.replication.options import ReplicationOptions
from replicad.replication.wire.connection import Connection, dial
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.messages import LinkHello, Refuse
from replicad.server import link_orders
from replicad.server.link_records import new_record, options_in
from replicad.server.link_seeds import LinkSeeds
from replicad.server.link_upkeep import LinkUpkeep
from replicad.server.linked_data import LinkedData

log = get_logger("replicad.daemon")

TICKS_BETWEEN_CLOCKS = 5
"""A primary that is linked says so often, in ticks of a second, that its clock goes on."""


class NodeLinks:
    def __init__(
        self,
        env: Env,
        identity: Identity,
        options: ReplicationOptions,
        *,
        store: OpenStore,
        data: NodeData,
        clients: ClientPort,
        tasks: NodeTasks,
        door: Door,
        is_primary: Callable[[], bool],
        configured: Mapping[str, LinkOptions],
    ) -> None:
        self.configured = configured
        """`[links.NAME]` as the node runs with it."""
        self.targets: dict[str, LinkTarget] = {}
        self.sources: dict[bytes, LinkSource] = {}
        """By the database id of the target."""
        self._env = env
        self._identity = identity
        self._options = options
        self._store = store
        self._data = data
        self._clients = clients
        self._tasks = tasks
        self._door = door
        self._is_primary = is_primary
        self._running: dict[str, tuple[dict[str, Any], asyncio.Task[None]]] = {}
        self._of: LinkedData | None = None
        self._upkeep: LinkUpkeep | None = None
        self._ticks = 0
        self._refused: dict[str, str] = {}
        """Why a link of the configuration is not what it says."""

    @property
    def linked(self) -> LinkedData | None:
        """None while there is no store that is served."""
        server = self._clients.server
        return None if server is None else server.state.linked

    # Those that it serves.

    async def serve(self, connection: Connection, hello: LinkHello) -> None:
        """Runs one session to its end."""
        linked, store = self.linked, self._store.database
        if linked is None or store is None:
            connection.send(Refuse("no-data", "this node has no data yet", True))
            return
        older = self.sources.get(hello.database)
        if older is not None:
            if older.hello.name != hello.name:
                reason = (
                    f"this primary serves link {older.hello.name} to that database: one carries all families"
                )
                connection.send(Refuse("another-link", reason, False))
                return
            # A target that connects again did not see its older session end.
            older.connection.close()
        source = LinkSource(
            self._env,
            self._identity,
            store,
            connection,
            hello,
            primary=linked,
            slots=self._data.slots,
            options=self._options,
        )
        self.sources[hello.database] = source
        try:
            await source.run()
        finally:
            if self.sources.get(hello.database) is source:
                del self.sources[hello.database]

    # Those that it follows.

    async def tick(self) -> None:
        """About once a second: links begin and end as the data says."""
        linked = self.linked if self._is_primary() else None
        if linked is not self._of:
            # Another store is served now: what was merged into the older one is not known here.
            await self._end(*self._running)
            self._of = linked
            if linked is not None:
                linked.silence_us = round(self._options.link_silence_seconds_max * 1e6)
                self._upkeep = LinkUpkeep(linked)
                linked.refused = lambda: {target.refused for target in self.targets.values()}
        if linked is None or self._upkeep is None:
            return
        self._configure(linked)
        wanted = {name: record for name, record in linked.links().items() if not record.get("paused")}
        asked = {name: _asked(record) for name, record in wanted.items()}
        await self._end(*[name for name, (record, _) in self._running.items() if asked.get(name) != record])
        for name, record in asked.items():
            if name not in self._running:
                self._begin(name, record, linked)

        self._ticks += 1
        if self._ticks % TICKS_BETWEEN_CLOCKS == 0:
            self._upkeep.move_clock()
        self._upkeep.forget_deletions()
        self._upkeep.forget_losers()

    def reconfigure(self, configured: Mapping[str, LinkOptions]) -> None:
        self.configured = configured
        self._refused.clear()

    def _configure(self, linked: LinkedData) -> None:
        """Has the data say of links what the configuration does."""
        for name, asked in self.configured.items():
            if not linked.is_ready():
                return
            try:
                link_orders.agree_with(linked, name, asked)
                self._refused.pop(name, None)
            except (InvalidArgument, NotFoundError) as error:
                if self._refused.get(name) != str(error):
                    log.error("link.not_configured", link=name, reason=str(error))
                self._refused[name] = str(error)

    def _begin(self, name: str, record: dict[str, Any], linked: LinkedData) -> None:
        target = LinkTarget(
            self._env,
            self._identity,
            name,
            options_in(record),
            linked,
            LinkSeeds(linked),
            self._dial,
            self._options,
        )
        self.targets[name] = target
        self._running[name] = record, self._tasks.spawn(target.run())

    async def _dial(self, address: Address) -> Connection:
        return await dial(address.host, address.port, self._door)

    async def _end(self, *names: str) -> None:
        ended = [self._running.pop(name)[1] for name in names]
        for name in names:
            self.targets.pop(name, None)
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    # What is shown.

    def document(self) -> list[dict[str, Any]]:
        """Ready for JSON; the links that this node follows, and those that it serves."""
        linked = self.linked
        if linked is None:
            return []
        known = linked.links()
        rows = [self._row(name, record) for name, record in known.items()]
        rows += [self._refused_row(name) for name in self._refused if name not in known]
        return [*rows, *map(self._served_row, self.sources.values())]

    def _row(self, name: str, record: dict[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {
            "name": name,
            "direction": "in",
            "source": record["source"],
            "families": record["families"],
            "prefixes": record.get("prefixes", []),
            "state": self._resting_state(record),
            "reason": None,
            "configured": name in self.configured,
            "not_configured": self._refused.get(name),
            "database": record.get("source_database"),
        }
        target = self.targets.get(name)
        if target is None:
            return row
        return row | {
            "state": target.state.value,
            "reason": target.reason,
            "address": str(target.address),
            "database": None if target.source is None else target.source.hex(),
            "sequence": target.through,
            "source_sequence": target.newest,
            "lag_sequences": max(0, target.newest - target.through),
            "batches_applied": target.applied,
            "batches_dropped": target.dropped,
            "operations_won": target.won,
            "operations_lost": target.lost,
        }

    def _resting_state(self, record: dict[str, Any]) -> str:
        """Of a link that this node does not run now."""
        if record.get("paused"):
            return "paused"
        return "waiting" if self._is_primary() else "standby"

    def _refused_row(self, name: str) -> dict[str, Any]:
        row = self._row(name, new_record(self.configured[name]))
        return row | {"state": "stopped", "reason": self._refused[name]}

    def _served_row(self, source: LinkSource) -> dict[str, Any]:
        return {
            "name": source.hello.name,
            "direction": "out",
            "source": source.connection.peer,
            "families": list(source.hello.families),
            "prefixes": [prefix_text(each) for each in source.hello.prefixes],
            "state": source.state,
            "reason": None,
            "database": source.hello.database.hex(),
            "sequence": source.sent,
            "acknowledged_sequence": source.acknowledged,
        }


def _asked(record: dict[str, Any]) -> dict[str, Any]:
    """What makes a link another one; how far it is does not. Seeding it again does."""
    names = ("source", "families", "prefixes", "keep_losers_seconds", "seeds")
    return {name: record.get(name) for name in names if name in record}
