"""A machine with one node on it: its disk, its clocks, and the node's process, which comes and goes.

    start ──> a process ──stop──> ends by itself, having said goodbye
                  ├──kill──> gone; the page cache stays
                  ├──power──> gone; of the disk what was durable, and some of the rest
                  └──pause──> stands still, goes on later

A process is the daemon's own program, on a file system in memory and records that are durable at once. It
may be told to die at its n-th operation on the disk: then it dies in the middle of a step.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any, cast

from replicad.daemon.config import PrimaryConfig, ReplicaConfig
from replicad.daemon.parts import NodeParts
from replicad.daemon.process.supervise import StopRequest, until_stopped
from replicad.daemon.program import NodeProgram
from replicad.daemon.records import NodeRecords
from replicad.env import Clock, Env
from replicad.etcd.calls import Etcd
from replicad.etcd.gateway import Gateway
from replicad.etcd.options import EtcdOptions
from replicad.net.addresses import Address
from replicad.replication.primary.node import PrimaryNode
from replicad.replication.primary.slots import Slots
from replicad.replication.replica.link_state import Link
from replicad.server.committer import Committer
from replicad.state import NodeState, RoleRecord
from replicad.state.records import decode
from replicad.store.database import Database
from tests.crash.states import Medium
from tests.sim.loop import PROCESS, VirtualLoop
from tests.sim.network import Network
from tests.support.files.memory_filesystem import MemoryFileSystem
from tests.support.inline_runner import InlineLane, InlineRunner, SeededRandom
from tests.support.nodes.memory_state import MemoryNodeState

LANE_SECONDS_MAX = 0.01
CHANGES = frozenset(
    ("create", "append", "sync", "sync_directory", "mkdir", "rename", "link", "unlink", "truncate")
)
"""The operations at which a process may be told to die."""


class Died(BaseException):
    """Not an Exception: nothing of the process runs on."""


class NodeClock:
    """One machine's clock: it runs a little wrong, and its wall time jumps."""

    def __init__(self, loop: VirtualLoop, draw: random.Random) -> None:
        self._loop = loop
        self.rate = 1.0 + draw.uniform(-0.02, 0.02)
        self.offset = draw.uniform(0, 1000.0)
        self.wall_offset = 1.7e9 + draw.uniform(-100.0, 100.0)

    def local(self, now: float) -> float:
        return self.offset + now * self.rate

    def world(self, local: float) -> float:
        return (local - self.offset) / self.rate

    def monotonic(self) -> float:
        return self.local(self._loop.now)

    def awake(self) -> float:
        return self.local(self._loop.now)

    def wall_us(self) -> int:
        return int((self.wall_offset + self.local(self._loop.now)) * 1e6)

    def wall_ns(self) -> int:
        return self.wall_us() * 1000


class LoopRunner(InlineRunner):
    """Runs the store's background jobs from the loop, each a random moment after it was asked for, and none
    before the store is known to the world."""

    def __init__(self, loop: VirtualLoop, draw: random.Random) -> None:
        super().__init__(draw)
        self._loop = loop
        self._moments = draw
        self._early: list[str] | None = None

    def lane(self, name: str) -> InlineLane:
        """A store is being opened."""
        self._early = self._early or []
        return super().lane(name)

    def submit(self, name: str, job: Callable[[], None]) -> None:
        super().submit(name, job)
        if self._early is not None:
            self._early.append(name)
        else:
            self._run_later(name)

    def begin(self) -> None:
        early, self._early = self._early or [], None
        for name in early:
            self._run_later(name)

    def _run_later(self, name: str) -> None:
        delay = self._moments.random() ** 3 * LANE_SECONDS_MAX
        self._loop.call_at(self._loop.time() + delay, self.run_one, name)


def watch_acknowledgements() -> None:
    """From now on every machine is told when its process lets answers go out."""
    acknowledgeable = Committer._acknowledgeable

    def watched(self: Committer) -> int:
        visible = acknowledgeable(self)
        process = PROCESS.get()
        if visible and self.holding and isinstance(process, NodeProcess):
            process.machine.on_acknowledge(process)
        return visible

    Committer._acknowledgeable = watched  # type: ignore[method-assign]


class NodeProcess:
    """One life of a node. `ended` tells how it ended by itself: None for a stop, or the error."""

    def __init__(self, machine: Machine, loop: VirtualLoop, draw: random.Random) -> None:
        self.machine = machine
        self.host = machine.host
        self.name = machine.name
        self.alive = True
        self.paused = False
        self.backlog: list[asyncio.Handle] = []
        self.node: NodeParts | None = None
        self.stop: StopRequest | None = None
        self.serving = False
        self.context = copy_context()
        self.context.run(PROCESS.set, self)
        self._loop = loop
        self._draw = draw
        self.task = loop.create_task(self._run(), context=self.context)

    def local_time(self, now: float) -> float:
        return self.machine.clock.local(now)

    def world_time(self, local: float) -> float:
        return self.machine.clock.world(local)

    @property
    def store(self) -> Database | None:
        return None if self.node is None else self.node.store

    def spawn(self, job: Any) -> asyncio.Task[Any]:
        """Runs something as this process would."""
        return self._loop.create_task(job, context=self.context)

    async def _run(self) -> None:
        machine = self.machine
        error: BaseException | None = None
        try:
            await self._live()
        except (Died, GeneratorExit):
            return
        except BaseException as caught:
            error = caught
        if self.alive:
            machine.process_ended(error)

    async def _live(self) -> None:
        """What `daemon.supervise` and `daemon.program` do around a node."""
        machine = self.machine
        runner = LoopRunner(self._loop, self._draw)
        env = Env(
            fs=machine.fs,
            clock=machine.clock,
            random=SeededRandom(self._draw.getrandbits(64)),
            runner=runner,
            boot_id=f"{machine.name} {machine.power_losses}",
        )
        stop = self.stop = StopRequest()
        env.fs.make_directories(machine.config.data / "state")
        state = MemoryNodeState(env, machine.kept, lambda: machine.step("record"))
        records = NodeRecords(cast(NodeState, state))
        program = NodeProgram(machine.config, env, records, stop, make_etcd=machine.make_etcd)
        node = self.node = program.parts
        make_feed = node.feeds.make

        def opened(store: Database, slots: Slots) -> PrimaryNode:
            """The first that is done with a store that was opened. Whoever waits in a thread runs the
            background's jobs meanwhile, so these begin here."""
            machine.on_open(self, store)
            runner.begin()
            return make_feed(store, slots)

        node.feeds.make = opened  # type: ignore[method-assign]
        try:
            await program.start()
            self.serving = True
            await until_stopped(stop, *program.jobs())
        finally:
            if self.alive:
                await program.close()
        await records.close()


class Machine:
    def __init__(
        self,
        name: str,
        host: str,
        config: PrimaryConfig | ReplicaConfig,
        loop: VirtualLoop,
        network: Network,
        draw: random.Random,
        note: Callable[..., None],
        on_open: Callable[[NodeProcess, Database], None],
    ) -> None:
        self.on_open = on_open
        self.make_etcd: Callable[[EtcdOptions, Clock], Etcd] = Gateway
        self.on_acknowledge: Callable[[NodeProcess], None] = lambda process: None
        """Called whenever its process lets answers to writes go out."""
        self.name, self.host, self.config = name, host, config
        self.clock = NodeClock(loop, draw)
        self.kept: dict[bytes, bytes] = {}
        self.process: NodeProcess | None = None
        self.failure: BaseException | None = None
        self.lives = 0
        self.awake_since = 0.0
        """When its process started, or went on, having stood still for so long."""
        self.stood_still_seconds = 0.0
        self.knew_then: frozenset[Address] = frozenset()
        """Where it knew other nodes when it went on."""
        self._paused_at = 0.0
        self.power_losses = 0
        self._loop, self._network, self._draw, self._note = loop, network, draw, note
        self._dies_in: int | None = None
        self._dies_of = ""
        self.fs = MemoryFileSystem()
        self._medium = Medium(self.fs)
        self._use(self.fs, self._medium)

    def _use(self, fs: MemoryFileSystem, medium: Medium) -> None:
        self.fs, self._medium = fs, medium

        def before(call: str, path: Path, size: int) -> None:
            if self.fs is not fs:
                raise Died
            if call in CHANGES:
                self.step(call)

        fs.before = before

    def step(self, what: str) -> None:
        """Something is about to become durable, or to change; this may be where the process dies."""
        if self._dies_in is None:
            return
        self._dies_in -= 1
        if self._dies_in <= 0:
            self._note(self.name, "dies", at=what, of=self._dies_of)
            how, self._dies_in = self._dies_of, None
            (self.lose_power if how == "power" else self.kill)()
            raise Died

    @property
    def is_running(self) -> bool:
        return self.process is not None

    @property
    def is_paused(self) -> bool:
        return self.process is not None and self.process.paused

    @property
    def node(self) -> NodeParts | None:
        return None if self.process is None else self.process.node

    @property
    def store(self) -> Database | None:
        return None if self.process is None else self.process.store

    @property
    def link(self) -> Link | None:
        """Of a node that follows another."""
        follower = None if self.node is None else self.node.link.follower
        return None if follower is None else follower.link

    def start(self) -> None:
        assert self.process is None
        self.lives += 1
        self.awake_since, self.stood_still_seconds = self._loop.now, 0.0
        self._network.down.discard(self.host)
        self._note(self.name, "start", life=self.lives)
        self.process = NodeProcess(self, self._loop, random.Random(self._draw.getrandbits(64)))

    def stop(self) -> None:
        """As SIGTERM does."""
        if self.process is not None and self.process.stop is not None:
            self._note(self.name, "stop")
            self._loop.call_soon(self.process.stop.request, "SIGTERM", context=self.process.context)

    def process_ended(self, error: BaseException | None) -> None:
        self._note(self.name, "ended", error=repr(error))
        self.failure = self.failure or error
        self._end(power_lost=False)
        self._after_kill()

    def kill(self) -> None:
        if self.process is not None:
            self._note(self.name, "kill")
            self._end(power_lost=False)
            self._after_kill()

    def lose_power(self) -> None:
        self._note(self.name, "power lost")
        if self.process is not None:
            self._end(power_lost=True)
        self.power_losses += 1
        self._network.down.add(self.host)
        self._catch_up()
        state = self._medium.draw(self._draw)
        fs = MemoryFileSystem(state.image)
        self._use(fs, Medium(fs))

    def replace_disk(self, config: ReplicaConfig) -> None:
        """The disk is another one; what it was is told to its node in another configuration."""
        self.config = config
        self.kept.clear()
        fs = MemoryFileSystem()
        self._use(fs, Medium(fs))

    @property
    def has_data(self) -> bool:
        return self.fs.exists(self.config.data / "CURRENT")

    def record_says_granted(self) -> bool:
        role = self.kept.get(b"role")
        return role is not None and decode(RoleRecord, role).granted_epoch is not None

    def die_soon(self, how: str, operations: int) -> None:
        """At the so-manyth operation on the disk from now on: "kill" or "power"."""
        self._dies_in, self._dies_of = operations, how

    def pause(self) -> None:
        if self.process is not None and not self.process.paused:
            self._note(self.name, "pause")
            self.process.paused = True
            self._paused_at = self._loop.now

    def go_on(self) -> None:
        if self.process is not None and self.process.paused:
            self._note(self.name, "go on")
            self._loop.wake(self.process)
            self.awake_since = self._loop.now
            self.knew_then = frozenset() if self.node is None else frozenset(self.node.peers.addresses())
            self.stood_still_seconds = self._loop.now - self._paused_at

    def _end(self, *, power_lost: bool) -> None:
        process, self.process = self.process, None
        assert process is not None
        process.alive = False
        process.backlog.clear()
        self._dies_in = None
        self._network.process_ended(process, power_lost=power_lost)

    def _after_kill(self) -> None:
        self._catch_up()
        self._use(*self._medium.killed())

    def _catch_up(self) -> None:
        for operation in self.fs.journal:
            self._medium.apply(operation)
        self.fs.journal.clear()
