"""The store that this node has open at the moment, in one place for all parts that read it.

`NodeData` owns it: only that opens, exchanges and closes the store. Belongs to the event loop.
"""

from __future__ import annotations

from collections.abc import Collection

from replicad.replication.primary.node import PrimaryNode
from replicad.replication.replica.delayed_apply import DelayedApply
from replicad.store.database import Database


class OpenStore:
    def __init__(self) -> None:
        self.database: Database | None = None
        """None without data, and while the data is exchanged."""
        self.apply: DelayedApply | None = None
        """What the database applies late; there whenever the database is."""
        self.feed: PrimaryNode | None = None
        """Serves replicas from the database."""
        self.database_id: bytes | None = None
        """The id of the database in the data directory. It stays what it is while the data is exchanged."""

    @property
    def epoch(self) -> int:
        """0 without data."""
        return 0 if self.database is None else int(self.database.durable_position.epoch)

    @property
    def sessions(self) -> Collection[bytes]:
        """The ids of the replicas that are connected."""
        return () if self.feed is None else self.feed.sessions

    def tell_nodes(self) -> None:
        """Tells the replicas that are connected which other nodes there are."""
        if self.feed is not None:
            self.feed.tell_nodes()
