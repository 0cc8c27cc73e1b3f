"""Faults that have a story: things that befall the cluster in an order that chance hardly ever draws."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from replicad.errors import ReplicadError
from replicad.replication.policy.synchronous import Level, parse_rule

if TYPE_CHECKING:
    from tests.sim.faults import Faults
    from tests.sim.machine import Machine

ETCD_HOST = "etcd"
POLL_SECONDS = 0.002
POLLS_MAX = 500


async def standstills(faults: Faults) -> None:
    """A primary stands still twice in a row, while another node hangs and the third may be promoted."""
    world, draw = faults.world, faults.draw
    machine = world.primary()
    if machine is None or machine.is_paused:
        return
    others = [other for other in world.machines if other is not machine]
    hanging, heir = draw.sample(others, 2)
    doubt_seconds = world.scenario.roles.stood_still_seconds
    if draw.random() < 0.7:
        hanging.pause()
        faults.after(draw.uniform(1.0, 5.0), hanging.go_on)
    machine.pause()
    await asyncio.sleep(doubt_seconds * draw.uniform(1.1, 1.5))
    machine.go_on()
    await asyncio.sleep(draw.random() * 0.3)
    machine.pause()
    if world.scenario.promise != "sync":
        await asyncio.sleep(draw.uniform(0.05, 0.3))
        faults.promote(heir)
    await asyncio.sleep(doubt_seconds * draw.uniform(1.1, 1.8))
    machine.go_on()


async def repointed(faults: Faults) -> None:
    """A replica fetches its data again, and in the middle an operator has it follow another node; then maybe
    the primary again."""
    world, draw = faults.world, faults.draw
    machine = await _fetching(faults)
    if machine is None:
        return
    faults.repoint(machine, draw.choice([other.host for other in world.machines if other is not machine]))
    await asyncio.sleep(draw.random() ** 2)
    primary = world.primary()
    if primary is not None and primary is not machine and draw.random() < 0.7:
        faults.repoint(machine, primary.host)


async def mistaken(faults: Faults) -> None:
    """A node with data is told to follow one of another database, at any moment."""
    world, draw = faults.world, faults.draw
    stranger = world.stranger
    assert stranger is not None
    machine = await _fetching(faults)
    if machine is None or draw.random() < 0.2:
        machine = draw.choice(world.machines)
    if machine.has_data:
        faults.repoint(machine, stranger.host)


async def taken_back(faults: Faults) -> None:
    """A primary gives its role to a replica that hangs at that moment, and is made a primary again by force;
    then the replica goes on. Writes of the epoch that was given up are lost."""
    world, draw = faults.world, faults.draw
    primary = world.primary()
    if world.scenario.promise != "async" or primary is None or not faults.switch_over():
        return
    others = [machine for machine in world.machines if machine is not primary]
    for _ in range(POLLS_MAX):
        await asyncio.sleep(POLL_SECONDS / 4)
        if primary.record_says_granted():
            break
    for machine in others:
        machine.pause()
        faults.after(draw.uniform(2.0, 6.0), machine.go_on)
    await asyncio.sleep(draw.uniform(1.0, 4.0))
    faults.take_back(primary)
    await asyncio.sleep(draw.uniform(0.0, 1.0))


async def tail_given_back(faults: Faults) -> None:
    """The primary loses its power while a replica has log that it has not durably, and starts again."""
    machine = await _ahead_of_its_log(faults)
    if machine is not None:
        machine.lose_power()
        faults.start_after(faults.draw.random(), machine)
        await asyncio.sleep(3.0)


async def tail_lost(faults: Faults) -> None:
    """The same, and it reaches nobody when it starts; maybe another node was promoted meanwhile."""
    world, draw = faults.world, faults.draw
    machine = await _ahead_of_its_log(faults)
    if machine is None:
        return
    machine.lose_power()
    others = [other for other in world.machines if other is not machine]
    for other in others:
        faults.close(3.0, (machine.host, other.host), (other.host, machine.host))
    if draw.random() < 0.5:
        await asyncio.sleep(draw.random())
        faults.promote(draw.choice(others))
    await asyncio.sleep(draw.random())
    if not machine.is_running:
        machine.start()
    await asyncio.sleep(2.0)
    if draw.random() < 0.3:
        machine.lose_power()
        faults.start_after(draw.random() * 2, machine)


async def _ahead_of_its_log(faults: Faults) -> Machine | None:
    """The primary, at a moment when another node has durably what it has not."""
    world = faults.world
    if world.scenario.store.durability != "async":
        return None
    for _ in range(POLLS_MAX):
        await asyncio.sleep(POLL_SECONDS / 4)
        machine = world.primary()
        if machine is None or machine.store is None or machine.is_paused:
            continue
        here = machine.store.durable_position
        for other in world.machines:
            there = None if other.store is None else other.store.durable_position
            if there is not None and there.epoch == here.epoch and there.sequence > here.sequence:
                return machine
    return None


async def _fetching(faults: Faults) -> Machine | None:
    """A replica that has data and was just told to fetch it again, at a drawn moment of that."""
    world, draw = faults.world, faults.draw
    running = [machine for machine in world.machines if machine.link is not None and not machine.is_paused]
    if not running:
        return None
    machine = draw.choice(running)
    assert machine.process is not None
    machine.process.spawn(_fetch_again(machine))
    wanted = draw.choice(("streaming", "bootstrapping", "installing"))
    for _ in range(POLLS_MAX):
        await asyncio.sleep(POLL_SECONDS)
        if machine.link is None or machine.link.state == wanted:
            break
    await asyncio.sleep(draw.random() ** 3 * 0.05)
    return machine


async def _fetch_again(machine: Machine) -> None:
    if machine.node is not None:
        machine.node.verification.fetch_again("somebody told it to")


async def left_behind(faults: Faults) -> None:
    """A replica gets nothing for a while, and then the primary is gone: the one left behind may lead."""
    world, draw = faults.world, faults.draw
    machine = world.primary()
    if machine is None or machine.is_paused:
        return
    behind = draw.choice([other for other in world.machines if other is not machine])
    ttl = world.scenario.failover.ttl_seconds
    faults.close(3.0 * ttl, (machine.host, behind.host), (behind.host, machine.host))
    await asyncio.sleep(draw.uniform(0.2, 2.0))
    _take_away(faults, machine, draw.uniform(1.0, 4.0) * ttl)
    await asyncio.sleep(draw.uniform(0.0, 2.0) * ttl)


async def one_after_the_other(faults: Faults) -> None:
    """The primary goes, and whoever leads next goes while it becomes that, or soon after."""
    world, draw = faults.world, faults.draw
    ttl = world.scenario.failover.ttl_seconds
    for _ in range(2):
        machine = world.primary()
        if machine is None or machine.is_paused:
            return
        _take_away(faults, machine, draw.uniform(0.5, 3.0) * ttl)
        await _until_claimed(faults, draw.uniform(1.0, 2.0) * ttl)
        await asyncio.sleep(draw.random() ** 3 * ttl)


async def candidate_dies(faults: Faults) -> None:
    """A candidate is gone between its claim and its first write: killed at a step, or cut off."""
    world, draw = faults.world, faults.draw
    ttl = world.scenario.failover.ttl_seconds
    machine = world.primary()
    if machine is None or machine.is_paused:
        return
    _take_away(faults, machine, draw.uniform(1.0, 3.0) * ttl)
    claimant = await _until_claimed(faults, 3.0 * ttl)
    if claimant is None or not claimant.is_running:
        return
    if draw.random() < 0.5:
        claimant.die_soon("kill", draw.randint(1, 12))
        faults.start_after(draw.uniform(0.0, 2.0) * ttl, claimant)
    else:
        _take_away(faults, claimant, draw.uniform(0.5, 2.0) * ttl)
    await asyncio.sleep(draw.random() * ttl)


async def etcd_and_primary(faults: Faults) -> None:
    """etcd is away for longer than a lease, and then something happens to the primary or a member."""
    world, draw = faults.world, faults.draw
    ttl = world.scenario.failover.ttl_seconds
    world.etcd.is_down = True
    faults.after(draw.uniform(1.0, 4.0) * ttl, world.etcd.restart)
    await asyncio.sleep(draw.uniform(0.0, 2.0) * ttl)
    machine = world.primary() if draw.random() < 0.6 else draw.choice(world.machines)
    if machine is not None and machine.is_running and not machine.is_paused:
        _take_away(faults, machine, draw.uniform(0.2, 2.0) * ttl)


async def rule_changes(faults: Faults) -> None:
    """An operator has the leader wait for more replicas, for fewer and for others, while one of them lags."""
    world, draw = faults.world, faults.draw
    rules = (
        "any 1",
        "any 1",
        "any 2",
        "any 1 of (one, two)",
        "any 1 of (two, three)",
        "first 1 of (three, one)",
    )
    for _ in range(draw.randint(2, 8)):
        machine = world.primary()
        if machine is not None and machine.node is not None and not machine.is_paused:
            rule = draw.choice(rules)
            world.trace.note("world", "rule", machine=machine.name, rule=rule)
            _ask_for(machine, rule)
            behind = draw.choice([other for other in world.machines if other is not machine])
            if draw.random() < 0.5:
                faults.close(draw.uniform(0.2, 3.0), (machine.host, behind.host), (behind.host, machine.host))
        await asyncio.sleep(draw.random() ** 2 * 2.0)
    machine = world.primary()
    if machine is not None and machine.is_running and draw.random() < 0.7:
        _take_away(faults, machine, draw.uniform(1.0, 3.0) * world.scenario.failover.ttl_seconds)
        await asyncio.sleep(draw.uniform(0.5, 2.0) * world.scenario.failover.ttl_seconds)
    for machine in world.machines:
        _ask_for(machine, world.scenario.link.synchronous)


def _ask_for(machine: Machine, rule: str) -> None:
    feed = None if machine.node is None else machine.node.open_store.feed
    if feed is not None:
        feed.waits.reconfigure(parse_rule(rule), Level.DURABLE, feed.waits.timeout_seconds)


async def replica_paused(faults: Faults) -> None:
    """A replica that counts stands still and acknowledges on; the primary may go meanwhile."""
    world, draw = faults.world, faults.draw
    primary = world.primary()
    if primary is None or primary.is_paused:
        return
    machine = draw.choice([other for other in world.machines if other is not primary])
    delay = None if machine.node is None else machine.node.data.delay
    if delay is None or delay.apply is None or machine.process is None or machine.is_paused:
        return
    world.trace.note("world", "stands still", machine=machine.name)
    machine.process.spawn(_ordered(delay.apply.pause(None)))
    (other,) = (each for each in world.machines if each not in (machine, primary))
    if draw.random() < 0.7:
        await asyncio.sleep(draw.random())
        faults.close(draw.uniform(1.0, 3.0), (primary.host, other.host), (other.host, primary.host))
    await asyncio.sleep(draw.random())
    if draw.random() < 0.7:
        _take_away(faults, primary, draw.uniform(1.0, 3.0) * world.scenario.failover.ttl_seconds)
    await asyncio.sleep(draw.uniform(0.0, 3.0) * world.scenario.failover.ttl_seconds)
    for _ in range(POLLS_MAX):
        apply = None if machine.node is None else machine.node.open_store.apply
        if apply is not None and apply.rules.pause is None:
            return
        if apply is not None and machine.process is not None:
            machine.process.spawn(_ordered(apply.resume()))
        elif not machine.is_running:
            machine.start()
        machine.go_on()
        await asyncio.sleep(0.1)


async def _ordered(order: Awaitable[object]) -> None:
    with contextlib.suppress(ReplicadError):
        await order


async def etcd_forgets(faults: Faults) -> None:
    """etcd is another one, without data; maybe while the primary is away."""
    world, draw = faults.world, faults.draw
    machine = world.primary()
    if machine is not None and machine.is_running and not machine.is_paused and draw.random() < 0.5:
        _take_away(faults, machine, draw.uniform(0.5, 2.0) * world.scenario.failover.ttl_seconds)
        await asyncio.sleep(draw.random() * world.scenario.failover.ttl_seconds)
    world.etcd.keys.forget()
    await asyncio.sleep(draw.random() * 2.0)


def _take_away(faults: Faults, machine: Machine, seconds: float) -> None:
    """It is killed, stands still, or nobody, or not etcd, hears of it, for so long."""
    world, draw = faults.world, faults.draw
    others = [other.host for other in world.machines if other is not machine]
    how = draw.choice(("kill", "power", "pause", "etcd", "alone"))
    world.trace.note("world", "takes away", machine=machine.name, how=how, seconds=seconds)
    match how:
        case "kill":
            machine.kill()
            faults.start_after(seconds, machine)
        case "power":
            machine.lose_power()
            faults.start_after(seconds, machine)
        case "pause":
            machine.pause()
            faults.after(seconds, machine.go_on)
        case "etcd":
            faults.close(seconds, (machine.host, ETCD_HOST), (ETCD_HOST, machine.host))
        case "alone":
            ways = [(machine.host, other) for other in (*others, ETCD_HOST)]
            faults.close(seconds, *ways, *[(there, here) for here, there in ways])


async def _until_claimed(faults: Faults, seconds: float) -> Machine | None:
    """Who claims the leadership within that time, having no epoch of its own yet."""
    world = faults.world
    end = world.loop.now + seconds
    while world.loop.now < end:
        await asyncio.sleep(POLL_SECONDS * 2)
        for machine in world.machines:
            failover = None if machine.node is None else machine.node.failover
            if failover is not None and failover.promises.is_claiming:
                return machine
    return None


ELECTIONS: dict[str, Callable[[Faults], Awaitable[None]]] = {
    "left-behind": left_behind,
    "one-after-the-other": one_after_the_other,
    "candidate-dies": candidate_dies,
    "etcd-and-primary": etcd_and_primary,
    "rule-changes": rule_changes,
    "replica-paused": replica_paused,
    "etcd-forgets": etcd_forgets,
}
"""Of a cluster whose leader etcd decides."""

MISHAPS: dict[str, Callable[[Faults], Awaitable[None]]] = {
    "standstills": standstills,
    "repointed": repointed,
    "mistaken": mistaken,
    "taken-back": taken_back,
    "tail-given-back": tail_given_back,
    "tail-lost": tail_lost,
}
"""By the names that scenarios draw."""
