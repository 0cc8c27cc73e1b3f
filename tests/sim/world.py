"""One seed, played: a cluster, its applications, what befalls it, and what must hold."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from replicad.daemon.config import PrimaryConfig, ReplicaConfig
from replicad.errors import LogGoneError, RoleRefused
from replicad.replication.policy.roles import Standing
from replicad.store.database import Database
from replicad.types import ORIGIN, Position
from tests.sim import loop as loop_module
from tests.sim.applications import Applications
from tests.sim.etcd import SimEtcd, SimEtcdClient
from tests.sim.faults import Faults
from tests.sim.ledger import Frame, Ledger, Violation, contents, number_of, numbers
from tests.sim.loop import PROCESS, VirtualLoop
from tests.sim.machine import Died, Machine, NodeProcess, watch_acknowledgements
from tests.sim.network import Network, SimTransport
from tests.sim.scenario import (
    Scenario,
    config_of,
    draw_scenario,
    host_of,
    replica_config,
    stranger_config,
)
from tests.sim.trace import Trace, capture_logs, keep_logs_quiet
from tests.support.oracle.batch import DELETE, PUT

CALM_SECONDS = 1.5
"""Before anything happens to the cluster."""
EQUAL_SECONDS_MAX = 40.0
"""How long after the last fault everything may take to be equal again."""
NO_LOG = "remove its data to have it fetch a copy"
LOOK_BYTES = 1 << 20
NETWORK_SETTLES_SECONDS = 1.0
CLOCKS_APART = 0.05
ON_THE_WAY_SECONDS_MAX = 1.5
"""For an answer to an application."""
AGE_SLACK_SECONDS = 0.1
"""What ages may be wrong by: clocks run unequally, and under "async" writes become durable later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    seed: int
    digest: str
    events: int
    virtual_seconds: float
    acknowledged: int
    frames: int
    failure: str | None
    trace: str


class World:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.draw = random.Random(f"world {scenario.seed}")
        self.errors: list[str] = []
        self.loop = VirtualLoop(self._stream("order"), self._loop_error)
        self.trace = Trace(self.loop)
        self.network = Network(self.loop, self._stream("network"), self._delivered)
        self.loop.network = self.network
        self.ledger = Ledger(
            now=lambda: self.loop.now,
            writers={1: scenario.names[0]},
            sent_ahead=scenario.store.durability == "async",
        )
        self.machines = [
            self._machine(name, host_of(index), config_of(scenario, index), self._opened)
            for index, name in enumerate(scenario.names)
        ]
        for machine, rate in zip(self.machines, scenario.clock_rates, strict=False):
            machine.clock.rate = rate
        self.stranger: Machine | None = None
        """A node of another database; nothing befalls it, and nothing is asked of it."""
        if "mistaken" in scenario.faults:
            host = host_of(len(self.machines))
            self.stranger = self._machine("stranger", host, stranger_config(scenario), lambda *_: None)
        self.etcd = SimEtcd(self.loop, self.network, self._stream("etcd"))
        self._database_id: bytes | None = None
        self._acknowledged_epoch = 0
        self._promoted_at = float("-inf")
        self.applications = Applications(self, self._stream("applications"))
        self.faults = Faults(self, self._stream("faults"))

    def _machine(
        self,
        name: str,
        host: str,
        config: PrimaryConfig | ReplicaConfig,
        on_open: Callable[[NodeProcess, Database], None],
    ) -> Machine:
        draw = self._stream(name)
        machine = Machine(name, host, config, self.loop, self.network, draw, self.trace.note, on_open)
        machine.on_acknowledge = self._acknowledges
        machine.make_etcd = lambda options, clock: SimEtcdClient(
            self.etcd, host, clock, options.request_seconds
        )
        return machine

    def _stream(self, name: str) -> random.Random:
        return random.Random(f"{self.scenario.seed} {name}")

    def _delivered(self, transport: SimTransport, what: str, checksum: int) -> None:
        self.trace.hash_only(transport.there, transport.here, what, checksum)

    def _loop_error(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        process = PROCESS.get()
        if isinstance(error, Died) or (process is not None and not process.alive):
            return
        if isinstance(error, Violation):
            self.errors.append(str(error))
        elif "never retrieved" not in context["message"] or isinstance(error, AssertionError):
            self.errors.append(f"{context['message']}: {error!r}")

    # Looking at the logs.

    def _opened(self, process: NodeProcess, store: Database) -> None:
        """From now on every frame that becomes durable there is looked at, at that moment."""
        if store.database_id != (self._database_id or store.database_id):
            self.fail(f"{process.name} has another database than before")
        self._database_id = store.database_id
        before: list[Position | None] = [None]
        oldest = store.oldest_log_sequence
        at = [oldest]

        def look() -> None:
            if not process.alive or process.store not in (None, store) or store.durable_sequence < at[0]:
                return
            try:
                cursor = store.read_log(at[0])
                try:
                    while (chunk := cursor.next(LOOK_BYTES)) is not None:
                        before[0] = self.ledger.add(process.name, chunk.frames, before[0])
                        at[0] = chunk.last_sequence + 1
                finally:
                    cursor.close()
            except LogGoneError as error:
                self.fail(f"{process.name}: the log has a hole: {error}")
            except Violation as error:
                self.fail(str(error))

        if oldest <= store.durable_sequence:
            found = store.position_at(oldest - 1) if oldest > 1 else None
            before[0] = found
        else:
            before[0] = store.durable_position
        look()
        try:
            self.ledger.check_known(process.name, store.durable_position)
        except Violation as error:
            self.fail(str(error))
        store.subscribe(look)

    def fail(self, reason: str) -> None:
        self.trace.note("world", "VIOLATION", reason=reason)
        self.errors.append(reason)

    def newest_epoch(self) -> int:
        return max(self.ledger.writers, default=1)

    def primary(self) -> Machine | None:
        """The one node that takes writes, if it is only one."""
        found = [
            m for m in self.machines if m.node is not None and m.node.standing.current is Standing.PRIMARY
        ]
        return found[0] if len(found) == 1 else None

    def epoch_to_know(self, machine: Machine) -> int:
        """An epoch that a primary which acknowledges now must know of, as it asked after it stood still: that
        of another node, which had begun by then, and which answers. 0 when there is none."""
        network, since = self.network, machine.awake_since
        is_calm = self.faults.calm_since < since - NETWORK_SETTLES_SECONDS and not network.closed
        stood_still = machine.stood_still_seconds > 1.1 * self.scenario.roles.stood_still_seconds
        if not stood_still or not is_calm or network.delay_seconds_max > 0.02 or machine.node is None:
            return 0
        for epoch, began in self.ledger.began.items():
            (other,) = (m for m in self.machines if m.name == self.ledger.writers[epoch])
            answers = (
                other.node is not None
                and other.node.standing.current is Standing.PRIMARY
                and other.awake_since < since - NETWORK_SETTLES_SECONDS
                and not other.is_paused
                and (other.host, 6381) in machine.knew_then
            )
            if other is not machine and answers and began < since:
                return epoch
        return 0

    # The play.

    async def play(self) -> None:
        for machine in self.machines:
            machine.start()
        if self.stranger is not None:
            self.stranger.start()
        await asyncio.sleep(CALM_SECONDS)
        if self.stranger is not None:
            await self.applications.fill(self.stranger)
        applications = self.applications
        jobs = [applications.write, applications.write, applications.read]
        if self.scenario.link.max_staleness_seconds:
            jobs.append(applications.look)
        if self.scenario.failover.is_on:
            jobs += [] if self.scenario.clock_rates else [self._watch_rights]
        tasks = [asyncio.create_task(job()) for job in jobs]
        chaos = asyncio.create_task(self.faults.run())
        while not chaos.done():
            await asyncio.sleep(0.2)
            self._check_ended()
        await chaos
        await asyncio.sleep(self.draw.uniform(0.0, 1.0))
        applications.stopping = True
        await asyncio.gather(*tasks)
        await self._until_equal()
        self._check_end()

    async def _watch_rights(self) -> None:
        """At no moment do two nodes have the right to acknowledge."""
        while not self.applications.stopping:
            self.check_rights()
            await asyncio.sleep(0.02)

    def check_rights(self) -> None:
        having = [
            f"{machine.name} in epoch {machine.node.open_store.epoch}"
            for machine in self.machines
            if machine.node is not None
            and machine.node.failover is not None
            and machine.node.failover.leadership.may_acknowledge()
        ]
        if len(having) > 1:
            self.fail(f"two may acknowledge: {', '.join(having)}")

    def _acknowledges(self, process: NodeProcess) -> None:
        """No epoch is acknowledged in once a later one was, where nobody promotes by force."""
        if not self.scenario.failover.is_on or self.scenario.clock_rates or process.store is None:
            return
        epoch = int(process.store.durable_position.epoch)
        if epoch < self._acknowledged_epoch:
            self.fail(f"{process.name} acknowledges in epoch {epoch}, after {self._acknowledged_epoch}")
        self._acknowledged_epoch = max(self._acknowledged_epoch, epoch)

    def _check_ended(self) -> None:
        for machine in self.machines:
            if machine.failure is not None:
                raise Violation(f"{machine.name} ended: {machine.failure!r}") from machine.failure
        if self.errors:
            raise Violation(self.errors[0])

    async def _until_equal(self) -> None:
        deadline = self.loop.now + EQUAL_SECONDS_MAX
        while True:
            self._check_ended()
            self._help_out()
            reason = self._not_equal()
            if reason is None:
                return
            if self.loop.now > deadline:
                raise Violation(f"{EQUAL_SECONDS_MAX:.0f} s after the last fault {reason}")
            await asyncio.sleep(0.1)

    def _help_out(self) -> None:
        """A tail whose log is not here is not thrown away without a person. A leader waits for that: while
        nobody has its history it takes no writes."""
        leading = [
            m for m in self.machines if m.node and m.node.failover and m.node.failover.leadership.right.leads
        ]
        primary = self.primary() or (leading[0] if len(leading) == 1 else None)
        if primary is None:
            self._promote_where_etcd_forgot()
            return
        for machine in self.machines:
            follower = None if machine.node is None else machine.node.link.follower
            if follower is not None and (follower.link.last_error or "").endswith(NO_LOG):
                self.trace.note("world", "gives up a tail", machine=machine.name)
                machine.kill()
                machine.replace_disk(replica_config(self.scenario, machine.name, primary.host))

    def _promote_where_etcd_forgot(self) -> None:
        """etcd lost its data while nobody led: nothing says any more whose promises are needed, so no node
        claims. An operator promotes the one that has most."""
        nodes = [machine.node for machine in self.machines if machine.node is not None]
        agents = [node.failover for node in nodes if node.failover is not None and node.store is not None]
        seen = [agent.cluster for agent in agents if agent.cluster is not None and agent.unreachable is None]
        has_forgotten = [each.leader is None and (each.rule is None or not each.failsafe) for each in seen]
        if (
            len(seen) < len(self.machines)
            or not all(has_forgotten)
            or self.loop.now < self._promoted_at + 5.0
        ):
            return

        def how_far(machine: Machine) -> tuple[int, int]:
            position = machine.store.durable_position if machine.store is not None else ORIGIN
            return position.epoch, position.sequence

        best = max(self.machines, key=how_far)
        self._promoted_at = self.loop.now
        self.trace.note("world", "promotes the node that has most", machine=best.name)
        assert best.process is not None
        best.process.spawn(self._promote(best))

    async def _promote(self, machine: Machine) -> None:
        assert machine.node is not None and machine.node.failover is not None
        with contextlib.suppress(RoleRefused):
            await machine.node.failover.promote(force=True)

    def _end_delay(self, machine: Machine) -> None:
        """What waited through all faults is seen: its clock would let it wait on for minutes."""
        apply = None if machine.node is None else machine.node.open_store.apply
        if apply is not None and apply.rules.delay_us:
            apply.reconfigure(delay_us=0, bytes_max=apply.bytes_max)

    def _not_equal(self) -> str | None:
        standings = {}
        for machine in self.machines:
            if not machine.is_running:
                machine.start()
        for machine in self.machines:
            if machine.node is None or machine.store is None:
                return f"{machine.name} has no data"
            standings[machine.name] = machine.node.standing.current
            self._end_delay(machine)
        primaries = [name for name, standing in standings.items() if standing is Standing.PRIMARY]
        if len(primaries) != 1 or set(standings.values()) != {Standing.PRIMARY, Standing.FOLLOWING}:
            return f"the nodes stand like this: { {n: s.value for n, s in standings.items()} }"
        positions = {m.name: str(m.store.durable_position) for m in self.machines if m.store is not None}
        if len(set(positions.values())) != 1:
            return f"the nodes are at {positions}"
        return None

    # What must hold at the end.

    def _check_end(self) -> None:
        newest = self.machines[0].store.durable_position  # type: ignore[union-attr]
        history = self.ledger.history(newest)
        expected = contents(history)
        digests = set()
        for machine in self.machines:
            store = machine.store
            assert store is not None
            found = dict(store.scan())
            if found != expected:
                wrong = sorted(
                    key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)
                )
                raise Violation(f"{machine.name} at {newest} differs from its history in {wrong[:5]}")
            digests.add(store.digest()[1])  # one may show a mark already that the others do not
            if machine.node is not None and machine.node.verification.record.doubt is not None:
                raise Violation(f"{machine.name} doubts: {machine.node.verification.record.doubt}")
        if len(digests) != 1:
            raise Violation(f"digests at {newest} differ: {digests}")
        self._check_acknowledged(history)
        if self.scenario.failover.is_on:
            self._check_epochs()
        self._check_seen()
        if not self.scenario.clock_rates:
            self._check_ages()

    def _check_acknowledged(self, history: list[Frame]) -> None:
        there = {number for frame in history for number in numbers(frame)}
        everywhere = {n: int(f.position.epoch) for f in self.ledger.frames.values() for n in numbers(f)}
        for write in self.applications.acknowledged:
            if write.number in everywhere and everywhere[write.number] < write.epoch_to_know:
                raise Violation(
                    f"write {write.number} was acknowledged at {write.at:.4f} by {write.node}, which stood "
                    f"still while epoch {write.epoch_to_know} began, and did not ask"
                )
            if write.token is not None and write.number in everywhere:
                # Whoever was fenced between the two answers gives a later position, of the same history.
                led_to = reversed(self.ledger.history(write.token))
                if not any(write.number in numbers(frame) for frame in led_to):
                    raise Violation(f"write {write.number} is not in the history of its token {write.token}")
            if write.number in there:
                continue
            if self.scenario.promise != "async":
                raise Violation(
                    f"write {write.number}, acknowledged by {write.node} at {write.at:.4f}, is lost"
                )
            if write.number in everywhere and self.scenario.faults != ("tail-given-back",):
                continue  # A promotion took it back, or an epoch that began after a loss of power.
            if write.number in everywhere:
                raise Violation(f"write {write.number} was durable somewhere, and was not given back")
            (machine,) = (m for m in self.machines if m.name == write.node)
            if self.scenario.store.durability == "sync" or machine.power_losses == write.power_losses:
                raise Violation(
                    f"write {write.number}, acknowledged by {write.node} at {write.at:.4f}, was never durable"
                )

    def _check_epochs(self) -> None:
        """No write of an epoch was acknowledged once one of a later epoch was."""
        epochs = {n: int(f.position.epoch) for f in self.ledger.frames.values() for n in numbers(f)}
        newest: deque[tuple[float, int]] = deque()
        reached = 0
        for write in sorted(self.applications.acknowledged, key=lambda write: write.at):
            while newest and newest[0][0] < write.at - ON_THE_WAY_SECONDS_MAX:
                reached = max(reached, newest.popleft()[1])
            epoch = epochs.get(write.number, reached)
            if epoch < reached:
                raise Violation(
                    f"write {write.number} of epoch {epoch} was acknowledged by {write.node} at "
                    f"{write.at:.4f}, after one of epoch {reached}"
                )
            newest.append((write.at, epoch))

    def _check_seen(self) -> None:
        """What was read after a token is from its history, and not older than what that says."""
        writes: dict[int, Frame] = {n: f for f in self.ledger.frames.values() for n in numbers(f)}
        last_at: dict[Position, dict[bytes, tuple[int, bool]]] = {}
        for seen in self.applications.seen:
            if seen.token.sequence and seen.token not in self.ledger.frames:
                continue  # Under "async", of a write that was lost before it was durable.
            if seen.token not in last_at:
                last: dict[bytes, tuple[int, bool]] = {}
                for frame in self.ledger.history(seen.token) if seen.token.sequence else []:
                    for kind, _, key, _ in frame.records:
                        if kind in (1, 2):
                            last[key] = (int(frame.position.sequence), kind == 1)
                last_at[seen.token] = last
            at, is_put = last_at[seen.token].get(seen.key, (0, False))
            if seen.value is None:
                if is_put and not any(
                    frame.position.sequence > at and (2, 0, seen.key, None) in frame.records
                    for frame in self.ledger.frames.values()
                ):
                    raise Violation(f"{seen.node} lacked {seen.key!r} after token {seen.token}, put at {at}")
                continue
            frame_seen = writes.get(number_of(seen.value))
            if frame_seen is None:
                continue
            if frame_seen.position.sequence < at:
                raise Violation(
                    f"{seen.node} showed {seen.key!r} of {frame_seen.position} after token {seen.token}, "
                    f"whose history wrote it at {at}"
                )

    def _check_ages(self) -> None:
        """What a replica showed was not older than its limit: all that was acknowledged before is in it."""
        limit = self.scenario.link.max_staleness_seconds
        frames = {n: f for f in self.ledger.frames.values() for n in numbers(f)}
        puts: dict[bytes, list[tuple[float, int, Frame]]] = {}
        deletions: dict[bytes, int] = {}
        for frame in self.ledger.frames.values():
            for kind, family, key, _ in frame.records:
                if kind == DELETE and family == 0:
                    deletions[key] = max(deletions.get(key, 0), frame.position.sequence)
        for write in self.applications.acknowledged:
            if (written := frames.get(write.number)) is not None:
                for kind, family, key, _ in written.records:
                    if kind == PUT and family == 0:
                        puts.setdefault(key, []).append((write.at, write.number, written))
        for shown in self.applications.shown:
            before = shown.at - limit * (1 + CLOCKS_APART) - AGE_SLACK_SECONDS
            if shown.value is None:
                at = deletions.get(shown.key, 0)
            elif (seen := frames.get(number_of(shown.value))) is not None:
                at = seen.position.sequence
            else:
                continue  # Not durable anywhere, as may be under "async".
            for acknowledged_at, number, frame in puts.get(shown.key, ()):
                # A promotion by force takes back what it takes back; within an epoch nothing is taken back.
                is_comparable = self.scenario.promise != "async" or frame.position.epoch == shown.epoch
                if acknowledged_at < before and frame.position.sequence > at and is_comparable:
                    raise Violation(
                        f"{shown.node} showed {shown.key!r} at {shown.at:.4f} without write {number}, "
                        f"acknowledged at {acknowledged_at:.4f}, though its limit is {limit} s"
                    )


watch_acknowledgements()


def play(
    seed: int,
    *,
    keep_trace: bool = False,
    draw: Callable[[int], Scenario] = draw_scenario,
    change: Callable[[Scenario], Scenario] = lambda scenario: scenario,
) -> Outcome:
    """Plays a seed to its end. The trace is kept of what failed, or when it is asked for."""
    with loop_module.torn_down():
        outcome = _play(change(draw(seed)), keep_trace)
        keep_logs_quiet()
        return outcome


def _play(scenario: Scenario, keep_trace: bool) -> Outcome:
    loop_module.begin()
    world = World(scenario)
    capture_logs(world.trace)
    world.trace.note("world", "scenario", promise=scenario.promise, faults=scenario.faults)
    world.loop.ends_at = CALM_SECONDS + scenario.chaos_seconds + EQUAL_SECONDS_MAX + 60.0
    failure: str | None = None
    try:
        loop_module.run(world.loop, world.play())
    except (Violation, loop_module.Deadlock, loop_module.OutOfTime, AssertionError) as error:
        failure = f"{type(error).__name__}: {error}"
        error.__traceback__ = error.__cause__ = None
    if failure is None and world.errors:
        failure = world.errors[0]
    return Outcome(
        scenario.seed,
        world.trace.digest,
        world.trace.events,
        world.loop.now,
        len(world.applications.acknowledged),
        len(world.ledger.frames),
        failure,
        world.trace.text() if failure is not None or keep_trace else "",
    )
