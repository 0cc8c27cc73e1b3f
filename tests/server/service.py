"""Nodes of one service, one of them the primary, until the test appoints another."""

from __future__ import annotations

from functools import partial

from replicad.server import SentinelPeer, SentinelView
from tests.server.harness import RunningServer
from tests.support.waiting import eventually

NAME = "orders"
SWITCH = b"+switch-master"


class Service:
    """As if they took part in automatic failover: they agree, and say so to their clients."""

    def __init__(self, *servers: RunningServer) -> None:
        self.servers = servers
        self.epoch = 0
        self.primary: RunningServer | None = None
        self._down: tuple[RunningServer, ...] = ()
        self.appoint(servers[0])

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", server.port) for server in self.servers]

    def appoint(self, primary: RunningServer | None) -> None:
        """Makes that one the primary, or none; the nodes have said so when this returns."""
        former, self.primary = self.primary, primary
        self.epoch += 1
        self._tell_all(former)

    def declare_down(self, *servers: RunningServer) -> None:
        """These count as down, and no others."""
        self._down = servers
        self._tell_all(self.primary)

    def _tell_all(self, former: RunningServer | None) -> None:
        told: list[RunningServer] = []
        for server in self.servers:
            server.call(partial(self._tell, server, former))
            server.call(partial(told.append, server))
        eventually(lambda: len(told) == len(self.servers))

    def _tell(self, server: RunningServer, former: RunningServer | None) -> None:
        node, primary = server.node, self.primary
        node.role = "primary" if server is primary else "replica"
        node.is_writable = server is primary
        node.primary_address = None if server is primary or primary is None else ("127.0.0.1", primary.port)
        node.view = self._view_of(server)
        server.server.role_changed()
        if former is not None and primary is not None and former is not primary:
            said = f"{NAME} 127.0.0.1 {former.port} 127.0.0.1 {primary.port}"
            server.server.publish(SWITCH, said.encode())

    def _view_of(self, server: RunningServer) -> SentinelView:
        return SentinelView(
            service=NAME,
            node_id=node_id(server),
            primary=None if self.primary is None else self._peer(self.primary),
            epoch=self.epoch,
            replicas=tuple(self._peer(each) for each in self.servers if each is not self.primary),
            sentinels=tuple(self._peer(each) for each in self.servers if each is not server),
            quorum=len(self.servers) // 2 + 1,
            down_after_seconds=10.0,
        )

    def _peer(self, server: RunningServer) -> SentinelPeer:
        return SentinelPeer(
            node_id=node_id(server),
            host="127.0.0.1",
            port=server.port,
            is_down=server in self._down,
            offset=7,
        )


def node_id(server: RunningServer) -> str:
    return f"{server.port:032x}"
