"""What befalls the cluster: one task draws faults until the chaos is over."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from replicad.replication.roles import Standing
from replicad.server.interfaces import RoleRefused
from tests.sim.machine import Machine
from tests.sim.scenario import replica_config

if TYPE_CHECKING:
    from tests.sim.world import World


class Faults:
    def __init__(self, world: World, draw: random.Random) -> None:
        self._world = world
        self._draw = draw
        self._later: list[asyncio.Task[Any]] = []
        self._changing: tuple[Machine, asyncio.Task[Any]] | None = None

    async def run(self) -> None:
        scenario, draw, world = self._world.scenario, self._draw, self._world
        end = world.loop.now + scenario.chaos_seconds
        while world.loop.now < end:
            await asyncio.sleep(draw.expovariate(1 / scenario.fault_seconds))
            kind = draw.choice(scenario.faults)
            machine = draw.choice(world.machines)
            if kind == "switchover":
                self._switch_over()
            elif kind == "promote":
                self._promote(machine)
            else:
                self._strike(kind, machine)
        self.heal()

    def heal(self) -> None:
        """Everything works from now on."""
        for task in self._later:
            task.cancel()
        world = self._world
        world.trace.note("world", "healed")
        world.network.closed.clear()
        world.network.delay_seconds_max = 0.002
        for machine in world.machines:
            machine.die_soon("kill", 1 << 60)
            machine.go_on()
            if not machine.is_running:
                machine.start()

    def _strike(self, kind: str, machine: Machine) -> None:
        draw, network, world = self._draw, self._world.network, self._world
        other = draw.choice([m for m in world.machines if m is not machine])
        seconds = draw.random() ** 2 * 4.0
        if kind in ("kill", "power", "stop", "wipe") and not machine.is_running:
            return
        if kind not in ("die", "die-power"):
            world.trace.note("world", kind, machine=machine.name, other=other.name, seconds=seconds)
        match kind:
            case "kill":
                machine.kill()
                self._start_after(seconds, machine)
            case "power":
                machine.lose_power()
                self._start_after(seconds, machine)
            case "die" | "die-power":
                machine.die_soon("kill" if kind == "die" else "power", draw.randint(1, 40))
                self._start_after(seconds + 2.0, machine)
            case "stop":
                machine.stop()
                self._start_after(seconds + 0.5, machine)
            case "wipe":
                primary = world.primary()
                if primary is not None and primary is not machine:
                    machine.kill()
                    machine.replace_disk(replica_config(world.scenario, machine.name, primary.host))
                    self._start_after(seconds, machine)
            case "pause":
                machine.pause()
                self._after(seconds, machine.go_on)
            case "reset":
                network.reset_between(machine.host, other.host)
            case "partition":
                self._close(seconds, (machine.host, other.host), (other.host, machine.host))
            case "half-open":
                self._close(seconds, (machine.host, other.host))
            case "slow":
                network.delay_seconds_max = draw.choice((0.001, 0.02, 0.2, 0.6))
            case "clock":
                machine.clock.wall_offset += draw.uniform(-3600, 3600)

    def _close(self, seconds: float, *directions: tuple[str, str]) -> None:
        network = self._world.network
        network.closed.update(directions)
        self._after(seconds, lambda: network.closed.difference_update(directions))

    def _start_after(self, seconds: float, machine: Machine) -> None:
        def start() -> None:
            if not machine.is_running:
                machine.start()

        self._after(seconds, start)

    def _after(self, seconds: float, job: Any) -> None:
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
            if node.standing in (Standing.PROMOTING, Standing.HANDING_OVER, Standing.PAUSED):
                return False
        return all(b"role" not in m.kept or not m.record_says_granted() for m in self._world.machines)

    def _begin(self, machine: Machine, what: str, job: Any) -> None:
        assert machine.process is not None
        self._world.trace.note("world", what, machine=machine.name)

        async def attempt() -> None:
            try:
                await job
            except RoleRefused as error:
                self._world.trace.note(machine.name, f"{what} refused", reason=str(error))

        self._changing_process = machine.process
        self._changing = machine, machine.process.spawn(attempt())

    def _switch_over(self) -> None:
        if not self._may_change_roles():
            return
        for machine in self._world.machines:
            node = machine.node
            if node is None or node.store is None or machine.process is None or machine.process.paused:
                continue
            is_newest = node.store.durable_position.epoch >= self._world.newest_epoch()
            if node.standing is Standing.PRIMARY and is_newest:
                seconds = self._draw.choice((0.5, 2.0))
                self._begin(machine, "switchover", node.switch_over(None, timeout_seconds=seconds))
                return

    def _promote(self, machine: Machine) -> None:
        """By force, of a node in the newest epoch, while its primary is away."""
        node = machine.node
        if node is None or node.store is None or not self._may_change_roles():
            return
        if node.standing not in (Standing.FOLLOWING, Standing.FENCED) or machine.process.paused:  # type: ignore[union-attr]
            return
        if node.store.durable_position.epoch < self._world.newest_epoch():
            return
        force = self._draw.random() < 0.7
        self._begin(machine, "promote", node.promote(force=force))
