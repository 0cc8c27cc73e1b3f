"""Nodes of one database whose leader an etcd in memory decides; they look at it when the test says so.

    async with cluster(tmp_path) as nodes:
        one, two, three = nodes.nodes
        await nodes.settle()            # one leads, and the others count
        nodes.pass_time(10.0)           # for etcd and for all nodes

Time passes only when the test says so, as far as leases are concerned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from replicad.daemon.config import load_primary, load_replica
from replicad.daemon.failover.agent import FailoverAgent
from replicad.daemon.parts import NodeParts
from replicad.env import Env, SystemClock
from replicad.replication.policy.failover.cluster import Cluster
from replicad.replication.policy.roles import Standing
from tests.support.etcd.keys import EtcdKeys
from tests.support.etcd.memory import MemoryEtcd
from tests.support.nodes.programs import PATIENT, started_program
from tests.support.waiting import until

TTL_SECONDS = 5
FLAGS: dict[str, Any] = {
    **PATIENT,
    "listen": ":0",
    "replication": ":0",
    "failover__etcd": ("http://etcd:2379",),
    "failover__ttl_seconds": TTL_SECONDS,
    "link__free_bytes_min": 0,
    "link__backoff_seconds_max": 0.1,
    "link__stopped_retry_seconds": 0.1,
}


class LeaseClock(SystemClock):
    """`awake` goes on only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def awake(self) -> float:
        return self.now


class Member:
    """One node, with its own way to etcd."""

    def __init__(self, node: NodeParts, etcd: MemoryEtcd) -> None:
        assert node.failover is not None
        self.node, self.etcd = node, etcd
        self.agent: FailoverAgent = node.failover
        self.id = node.identity.node.hex()

    @property
    def cluster(self) -> Cluster:
        assert self.agent.cluster is not None
        return self.agent.cluster

    @property
    def leads(self) -> bool:
        return self.agent.leadership.may_acknowledge()

    async def look(self) -> None:
        await self.agent.look()


class Nodes:
    def __init__(self, clock: LeaseClock, keys: EtcdKeys) -> None:
        self.clock, self.keys = clock, keys
        self.members: list[Member] = []
        self.stacks: dict[str, AsyncExitStack] = {}

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    async def look(self, *but: Member) -> None:
        """All look once, those left out."""
        for member in self.members:
            if member not in but:
                await member.look()

    async def until(self, condition: Callable[[], object], *but: Member) -> None:
        """Has all look until it holds."""
        while not condition():
            await self.look(*but)
            await asyncio.sleep(0.005)

    async def settle(self) -> Member:
        """Who leads, once everybody else is a member that counts and no node holds still."""
        self.pass_time(TTL_SECONDS + 1)
        await self.until(lambda: any(member.leads for member in self.members))
        (leader,) = [member for member in self.members if member.leads]
        others = frozenset(member.id for member in self.members) - {leader.id}

        def is_settled() -> bool:
            cluster = leader.cluster
            return (
                cluster.rule is not None
                and cluster.failsafe == others | {leader.id}
                and (cluster.rule.replicas == others or not cluster.rule.count)
                and leader.leads
            )

        await self.until(is_settled)
        return leader

    async def end(self, member: Member) -> None:
        """As a kill would: its lease stays for its time."""
        self.members.remove(member)
        member.etcd.is_cut = True
        await self.stacks[member.id].aclose()


@asynccontextmanager
async def cluster(
    directory: Path, *names: str, synchronous: str = "any 1", **flags: Any
) -> AsyncIterator[Nodes]:
    """A primary and its replicas, by default three nodes; they have looked at nothing yet."""
    clock = LeaseClock()
    nodes = Nodes(clock, EtcdKeys(clock.awake))
    async with AsyncExitStack() as stack:
        for name in names or ("one", "two", "three"):
            await stack.enter_async_context(_node(nodes, directory / name, synchronous, flags))
        yield nodes


@asynccontextmanager
async def _node(nodes: Nodes, data: Path, synchronous: str, flags: dict[str, Any]) -> AsyncIterator[None]:
    etcd = MemoryEtcd(nodes.keys, nodes.clock)
    given = {**FLAGS, "name": data.name, "link__synchronous": synchronous, **flags}
    if nodes.members:
        first = nodes.members[0].node.addresses.replication
        config: Any = load_replica(None, data=data, primary=first, **given)
    else:
        config = load_primary(None, data=data, create=True, **given)
    async with AsyncExitStack() as stack:
        env = Env(clock=nodes.clock)
        program = await stack.enter_async_context(
            started_program(config, env=env, make_etcd=lambda options, clock: etcd)
        )
        node = program.parts
        if nodes.members:
            await until(lambda: node.store is not None and node.link.role_word == "connected")
        member = Member(node, etcd)
        nodes.members.append(member)
        nodes.stacks[member.id] = stack.pop_all()
        try:
            yield
        finally:
            await nodes.stacks[member.id].aclose()


async def serves(nodes: Nodes, member: Member) -> None:
    await nodes.until(lambda: member.node.standing.current is Standing.PRIMARY)


def leader_of(nodes: Nodes) -> Member | None:
    found = [member for member in nodes.members if member.leads]
    return found[0] if found else None


async def elected(nodes: Nodes, *but: Member) -> Member:
    """Who leads once the lease of the leader before has ended."""
    nodes.pass_time(TTL_SECONDS + 1)
    await nodes.until(lambda: leader_of(nodes), *but)
    found = leader_of(nodes)
    assert found is not None
    return found
