"""Where nodes and etcd live: each node has three cables, and each can be pulled.

    namespace of the test     127.0.1.254       127.0.2.254        127.0.3.254
                             ┌── clients ──┐   ┌──── etcd ────┐   ┌── nodes ──┐
    node 1                    127.0.1.1         127.0.2.1          127.0.3.1      down: its packets are lost
    node 2                    127.0.1.2         127.0.2.2          127.0.3.2      in silence

Where a process may not have namespaces, everything lives on 127.0.0.1, and no cable is pulled (`can_cut`).
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Literal

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.support.nodes.namespaces import ROUTES, begin_namespace, reason_of, shell

Cable = Literal["clients", "etcd", "nodes"]
CABLES: tuple[Cable, ...] = ("clients", "etcd", "nodes")


@dataclass(slots=True)
class Place:
    number: int
    clients: str
    """The address for clients."""
    replication: str
    wrapper: list[str] = field(default_factory=list)
    """What a command begins with to run there."""

    def cut(self, *cables: Cable) -> None:
        shell(*(f"ip link set {cable}-{self.number} down" for cable in cables))

    def mend(self, *cables: Cable) -> None:
        shell(*(f"ip link set {cable}-{self.number} up" for cable in cables))


class Places:
    def __init__(self, count: int, *, isolated: bool) -> None:
        self.lacks = "" if isolated else "this process may not have namespaces"
        self.etcd_host = HOST
        self._holders: list[subprocess.Popen[bytes]] = []
        if isolated:
            try:
                self.places = self._connect(count)
                self.etcd_host = "127.0.2.254"
            except subprocess.CalledProcessError as error:
                self.close()
                self.lacks = reason_of(error)
        if self.lacks:
            ports = free_ports(2 * count)
            self.places = [
                Place(number + 1, f"{HOST}:{ports[2 * number]}", f"{HOST}:{ports[2 * number + 1]}")
                for number in range(count)
            ]

    @property
    def can_cut(self) -> bool:
        return not self.lacks

    def close(self) -> None:
        """Every process that lives here has ended."""
        for holder in self._holders:
            holder.kill()
            holder.communicate()
        self._holders.clear()

    def _connect(self, count: int) -> list[Place]:
        shell(ROUTES)
        for net, cable in enumerate(CABLES, 1):
            shell(
                f"ip link add {cable} type bridge",
                f"ip address add 127.0.{net}.254/24 dev {cable}",
                f"ip link set {cable} up",
            )
        return [self._node(number) for number in range(1, count + 1)]

    def _node(self, number: int) -> Place:
        holder, inside = begin_namespace()
        self._holders.append(holder)
        shell(ROUTES, inside=inside)
        for net, cable in enumerate(CABLES, 1):
            shell(
                f"ip link add {cable}-{number} type veth peer name eth{net} netns {holder.pid}",
                f"ip link set {cable}-{number} master {cable}",
                f"ip link set {cable}-{number} up",
            )
            address = f"ip address add 127.0.{net}.{number}/24 dev eth{net}"
            shell(address, f"ip link set eth{net} up", inside=inside)
        return Place(number, f"127.0.1.{number}:6380", f"127.0.3.{number}:6381", inside)
