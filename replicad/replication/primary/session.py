"""A replica that is connected: what the sessions of a primary keep of it, and what the status shows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from replicad.replication.copy.serve_copy import CopyServer
from replicad.replication.primary.sender import Sender
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.identify import WRITTEN
from replicad.replication.wire.keepalive import Echo
from replicad.replication.wire.messages import Hello


@dataclass(slots=True, eq=False)
class ReplicaSession:
    connection: Connection
    hello: Hello
    connected_at: float
    echo: Echo
    state: str = "agreeing"
    sender: Sender | None = None
    server: CopyServer | None = None
    made_copy: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def owner(self) -> str:
        """Its name, where a certificate vouches for it. Who only wants a copy need not have one."""
        certificate = self.connection.certificate
        known = certificate is not None and self.hello.name in certificate.names
        return self.hello.name if known else ""

    @property
    def takes_written(self) -> bool:
        """Whether it wants log that is not durable yet."""
        return WRITTEN in self.hello.features
