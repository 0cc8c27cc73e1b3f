"""What befalls the cluster: one task draws faults until the chaos is over."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from replicad.errors import RoleRefused
from replicad.replication.policy.roles import Standing
from tests.sim.etcd import HOST
from tests.sim.machine import Machine
from tests.sim.mishaps import ELECTIONS, MISHAPS
from tests.sim.scenario import ETCD, replica_config

if TYPE_CHECKING:
    from tests.sim.world import World


class Faults:
    def __init__(self, world: World, draw: random.Random) -> None:
        self.world = world
        self.draw = draw
        self.calm_since = 0.0
        """Since when nothing has changed about the network."""
        self._later: list[asyncio.Task[Any]] = []
        self._changing: tuple[Machine, asyncio.Task[Any]] | None = None

    async def run(self) -> None:
        scenario, draw, world = self.world.scenario, self.draw, self.world
        end = world.loop.now + scenario.chaos_seconds
        while world.loop.now < end:
            await asyncio.sleep(draw.expovariate(1 / scenario.fault_seconds))
            kind = draw.choice(scenario.faults)
            machine = draw.choice(world.machines)
            if kind == "switchover":
                self.switch_over()
            elif kind == "promote":
                self.promote(machine)
            elif kind in ETCD:
                self._strike_etcd(kind, machine)
            elif (story := MISHAPS.get(kind) or ELECTIONS.get(kind)) is not None:
                world.trace.note("world", kind)
                await story(self)
            else:
                self._strike(kind, machine)
        self.heal()

    def heal(self) -> None:
        """Everything works from now on."""
        for task in self._later:
            task.cancel()
        world = self.world
        world.trace.note("world", "healed")
        world.network.closed.clear()
        world.network.delay_seconds_max = 0.002
        world.etcd.loss, world.etcd.delay_seconds_max = 0.0, 0.01
        world.etcd.restart()
        for machine in world.machines:
            machine.die_soon("kill", 1 << 60)
            machine.go_on()
            if not machine.is_running:
                machine.start()

    def _strike(self, kind: str, machine: Machine) -> None:
        draw, network, world = self.draw, self.world.network, self.world
        other = draw.choice([m for m in world.machines if m is not machine])
        seconds = draw.random() ** 2 * world.scenario.outage_seconds_max
        if kind in ("kill", "power", "stop", "wipe") and not machine.is_running:
            return
        if kind not in ("die", "die-power"):
            world.trace.note("world", kind, machine=machine.name, other=other.name, seconds=seconds)
        match kind:
            case "kill":
                machine.kill()
                self.start_after(seconds, machine)
            case "power":
                machine.lose_power()
                self.start_after(seconds, machine)
            case "die" | "die-power":
                machine.die_soon("kill" if kind == "die" else "power", draw.randint(1, 40))
                self.start_after(seconds + 2.0, machine)
            case "stop":
                machine.stop()
                self.start_after(seconds + 0.5, machine)
            case "wipe":
                primary = world.primary()
                if primary is not None and primary is not machine:
                    machine.kill()
                    machine.replace_disk(replica_config(world.scenario, machine.name, primary.host))
                    self.start_after(seconds, machine)
            case "pause":
                machine.pause()
                self.after(seconds, machine.go_on)
            case "reset":
                self._network_changes()
                network.reset_between(machine.host, other.host)
            case "partition":
                self.close(seconds, (machine.host, other.host), (other.host, machine.host))
            case "half-open":
                self.close(seconds, (machine.host, other.host))
            case "slow":
                self._network_changes()
                network.delay_seconds_max = draw.choice((0.001, 0.02, 0.2, 0.6))
            case "clock":
                machine.clock.wall_offset += draw.uniform(-3600, 3600)

    def _strike_etcd(self, kind: str, machine: Machine) -> None:
        draw, etcd = self.draw, self.world.etcd
        seconds = draw.random() ** 2 * self.world.scenario.outage_seconds_max
        self.world.trace.note("world", kind, machine=machine.name, seconds=seconds)
        match kind:
            case "etcd-down":
                etcd.is_down = True
                self.after(seconds, etcd.restart)
            case "etcd-restart":
                etcd.restart()
            case "etcd-cut":
                self.close(seconds, (machine.host, HOST), (HOST, machine.host))
            case "etcd-half-open":
                self.close(seconds, draw.choice([(machine.host, HOST), (HOST, machine.host)]))
            case "etcd-slow":
                etcd.delay_seconds_max = draw.choice((0.01, 0.3, 1.0, 3.0))
            case "etcd-lossy":
                etcd.loss = draw.choice((0.0, 0.1, 0.3))

    def close(self, seconds: float, *directions: tuple[str, str]) -> None:
        network = self.world.network

        def open_again() -> None:
            self._network_changes()
            network.closed.difference_update(directions)

        self._network_changes()
        network.closed.update(directions)
        self.after(seconds, open_again)

    def _network_changes(self) -> None:
        self.calm_since = self.world.loop.now

    def start_after(self, seconds: float, machine: Machine) -> None:
        def start() -> None:
            if not machine.is_running:
                machine.start()

        self.after(seconds, start)

    def after(self, seconds: float, job: Any) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            job()

        self._later.append(asyncio.create_task(later()))

    # The operator. He knows everything, and never makes a primary of a node that missed an epoch.

    def _may_change_roles(self) -> bool:
        if self._changing is not None:
            machine, task = self._changing
            if not task.done() and machine.is_running and machine.process is self._changing_process:
                return False
            node = machine.node
            if node is None or node.store is None or not machine.process or not machine.process.serving:
                return False
            if node.standing.current in (Standing.PROMOTING, Standing.HANDING_OVER, Standing.PAUSED):
                return False
        return all(b"role" not in m.kept or not m.record_says_granted() for m in self.world.machines)

    def _begin(self, machine: Machine, what: str, job: Any) -> None:
        assert machine.process is not None
        self.world.trace.note("world", what, machine=machine.name)

        async def attempt() -> None:
            try:
                await job
            except RoleRefused as error:
                self.world.trace.note(machine.name, f"{what} refused", reason=str(error))

        self._changing_process = machine.process
        self._changing = machine, machine.process.spawn(attempt())

    def switch_over(self) -> bool:
        """Whether it was tried."""
        if not self._may_change_roles():
            return False
        for machine in self.world.machines:
            node = machine.node
            if node is None or node.store is None or machine.process is None or machine.process.paused:
                continue
            is_newest = node.store.durable_position.epoch >= self.world.newest_epoch()
            if node.standing.current is Standing.PRIMARY and is_newest:
                seconds = self.draw.choice((0.5, 2.0))
                self._begin(machine, "switchover", node.switchover.switch_over(None, timeout_seconds=seconds))
                return True
        return False

    def promote(self, machine: Machine) -> None:
        """By force, of a node in the newest epoch, while its primary is away."""
        node = machine.node
        if node is None or node.store is None or not self._may_change_roles():
            return
        if node.standing.current not in (Standing.FOLLOWING, Standing.FENCED) or machine.process.paused:  # type: ignore[union-attr]
            return
        if node.store.durable_position.epoch < self.world.newest_epoch():
            return
        force = self.draw.random() < 0.7
        self._begin(machine, "promote", node.promotion.promote(force=force))

    def take_back(self, machine: Machine) -> None:
        """By force, of the node that gave its role away."""
        node = machine.node
        if node is not None and node.store is not None and machine.record_says_granted():
            self._begin(machine, "take back", node.promotion.promote(force=True))

    def repoint(self, machine: Machine, host: str) -> None:
        """As REPLICAOF does."""
        node = machine.node
        if node is not None and machine.link is not None and self._may_change_roles():
            self._begin(machine, "replicaof", node.following.follow(host, 6381))
