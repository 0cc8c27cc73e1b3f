"""One round: a cluster of processes, its applications, what befalls it, and the judgement.

One thread strikes; applications have their own. What a strike takes away comes back after its seconds.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from replicad.cli.exits import DIFFERENT
from tests.support.nodes.daemons import Daemon
from tests.torture import judge
from tests.torture.applications import Reader, Tokens, Writer
from tests.torture.asking import status_of
from tests.torture.places import Place, Places
from tests.torture.plan import NODES, Plan, Strike
from tests.torture.role_changes import Operator, primary_of
from tests.torture.verbs import address_of, begin

WRITERS, READERS = 3, 2
START_SECONDS_MAX = 30.0
EQUAL_SECONDS_MAX = 60.0
"""How long after the last strike everything may take to be equal again."""
STEP_SECONDS = 0.01
NO_LOG = "remove its data to have it fetch a copy"


@dataclass
class Outcome:
    strikes: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    there: int = 0
    read: int = 0
    batches: int = 0
    equal_seconds: float = 0.0
    memory_bytes: int = 0
    """Of the largest node at its largest."""


class Round:
    def __init__(self, plan: Plan, directory: Path, *, isolated: bool) -> None:
        self.plan = plan
        self.outcome = Outcome()
        self._story = directory / "story.log"
        self._began = time.monotonic()
        self._places = Places(directory / "nodes", NODES, plan.disk_of, isolated=isolated)
        self.lacks = self._places.lacks
        self.nodes = [self._node(place, directory) for place in self._places.places]
        self._place = dict(zip(self.nodes, self._places.places, strict=True))
        tokens = Tokens()
        self.writers = [
            Writer(f"w{n}", self.nodes, tokens, f"{plan.seed} writer {n}") for n in range(WRITERS)
        ]
        self.readers = [
            Reader(f"r{n}", self.nodes, tokens, f"{plan.seed} reader {n}") for n in range(READERS)
        ]
        self._operator = Operator(self.nodes, self.say)
        self._verbs: list[tuple[str, subprocess.Popen[str]]] = []
        self._standing: set[Daemon] = set()
        self._full: set[Daemon] = set()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._ties = count()
        self._target = directory / "backups"

    def say(self, what: str, **facts: object) -> None:
        at = time.monotonic() - self._began
        words = " ".join(f"{name}={value}" for name, value in facts.items())
        with open(self._story, "a") as story:
            story.write(f"{at:8.3f}  {what:24} {words}\n")

    def play(self) -> Outcome:
        """Raises Violation. Nothing of it runs any more afterwards."""
        try:
            self._start_all()
            self._strike_all()
            self._heal()
            self._judge()
            return self.outcome
        except BaseException as error:
            self.say("ended", error=repr(error))
            raise
        finally:
            self._end()

    # The cluster.

    def _node(self, place: Place, directory: Path) -> Daemon:
        """Its log and its configuration are not on its disk."""
        first = self._places.places[0]
        clients, replication = place.ports
        keys = {"listen": f"{place.host}:{clients}", "replication": f"{place.host}:{replication}"}
        role = "primary"
        if place is not first:
            role, keys["primary"] = "replica", f"{first.host}:{first.ports[1]}"
        node = Daemon(directory, role, f"node-{place.number}", self.plan.tables, **keys)
        node.wrapper = place.wrapper
        node.data = place.directory / "data"
        node.keys["data"] = str(node.data)
        node.configure(self.plan.tables)
        return node

    def _start_all(self) -> None:
        for node in self.nodes:
            node.spawn()
        self._until(lambda: judge.not_equal(self.nodes), START_SECONDS_MAX)
        for application in (*self.writers, *self.readers):
            application.start()

    def _until(self, why_not: Callable[[], str | None], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (reason := why_not()) is not None:
            self._look()
            if time.monotonic() > deadline:
                raise judge.Violation(f"{seconds:.0f} s later {reason}")
            time.sleep(STEP_SECONDS)

    def _look(self) -> None:
        """What must hold at every moment, and what came to its end."""
        for node in self.nodes:
            if node in self._full and node.process is not None and node.process.poll() == 1:
                self.say("found no room", node=node.name)  # and would be started again by systemd
                node.process = None
                self._after(1.0, lambda node=node: self._start(node))  # type: ignore[misc]
        judge.check_alive(self.nodes)
        judge.check_readers(self.readers)
        self._operator.look()
        for verb in [verb for verb in self._verbs if verb[1].poll() is not None]:
            self._verbs.remove(verb)
            name, process = verb
            output = process.communicate()[0].strip()
            self.say(f"{name} ended", code=process.returncode, says=output[-200:])
            if name == "verify" and process.returncode == DIFFERENT:
                raise judge.Violation(f"`replicad verify` found a difference: {output}")
        while self._later and self._later[0][0] <= time.monotonic():
            heappop(self._later)[2]()

    def _start(self, node: Daemon) -> None:
        if node.process is None:
            self.say("start", node=node.name)
            node.spawn()

    # What befalls it.

    def _strike_all(self) -> None:
        began = time.monotonic()
        strikes = list(self.plan.strikes)
        while (now := time.monotonic() - began) < self.plan.seconds:
            self._look()
            if strikes and strikes[0].at <= now:
                self._strike(strikes.pop(0))
            time.sleep(STEP_SECONDS)

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        heappush(self._later, (time.monotonic() + seconds, next(self._ties), what))

    def _strike(self, strike: Strike) -> None:
        node = self.nodes[strike.node]
        place = self._place[node]
        self.say(strike.kind, node=node.name, seconds=round(strike.seconds, 2))
        match strike.kind:
            case "cut" if place.can_cut:
                place.cut()
                self._after(strike.seconds, place.mend)
            case "fill" if place.can_fill:
                place.fill()
                self._full.add(node)
                self._after(strike.seconds, place.make_room)
            case "switchover":
                self._operator.switch_over()
            case "promote":
                self._operator.promote(node)
            case "verify":
                self._verbs.append(("verify", begin("verify", *map(address_of, self.nodes))))
            case "backup":
                create = begin("backup", "create", "--node", address_of(node), str(self._target))
                self._verbs.append(("backup", create))
            case "kill" | "stand" | "end" | "wipe" if node.process is not None:
                self._strike_process(strike, node)
            case _:
                self.say("not now")
                return
        self.outcome.strikes[strike.kind] += 1

    def _strike_process(self, strike: Strike, node: Daemon) -> None:
        if strike.kind == "stand":
            node.stop()
            self._standing.add(node)
            self._after(strike.seconds, lambda: self._go_on(node))
            return
        if strike.kind == "end" and node not in self._standing:
            early = status_of(node) is None  # its interpreter may be starting, which SIGTERM simply ends
            if (code := node.terminate()) != 0 and not (early and code == -signal.SIGTERM):
                raise judge.Violation(f"{node.name} ended with {code} when it was told to")
        elif strike.kind == "wipe" and (primary := primary_of(self.nodes)) not in (None, node):
            assert primary is not None
            self._wipe(node, primary)
        else:
            node.kill()
            self._standing.discard(node)
        self._after(strike.seconds, lambda: self._start(node))

    def _go_on(self, node: Daemon) -> None:
        self._standing.discard(node)
        if node.process is not None:
            node.go_on()

    def _wipe(self, node: Daemon, primary: Daemon) -> None:
        """The disk is another one, and its node is told whom to follow."""
        node.kill()
        self._standing.discard(node)
        shutil.rmtree(node.data)
        node.role = "replica"
        node.keys["primary"] = primary.keys["replication"]
        node.configure(self.plan.tables)

    # The end.

    def _heal(self) -> None:
        self.say("healed")
        self._later.clear()
        for node, place in self._place.items():
            if place.can_cut:
                place.mend()
            if place.can_fill:
                place.make_room()
            self._go_on(node)
            self._start(node)
        self._until(lambda: "verbs still run" if self._verbs or self._operator.is_busy else None, 120.0)
        for application in (*self.writers, *self.readers):
            application.ending.set()
        for application in (*self.writers, *self.readers):
            application.join()
        began = time.monotonic()
        self._until(self._not_equal, EQUAL_SECONDS_MAX)
        self.outcome.equal_seconds = time.monotonic() - began

    def _not_equal(self) -> str | None:
        reason = judge.not_equal(self.nodes)
        primary = None if reason is None else primary_of(self.nodes)
        for node in self.nodes if primary is not None else ():
            error = ((status_of(node) or {}).get("link") or {}).get("last_error") or ""
            if error.endswith(NO_LOG):
                self.say("gives up a tail", node=node.name)
                assert primary is not None
                self._wipe(node, primary)
                self._start(node)
        return reason

    def _judge(self) -> None:
        outcome = self.outcome
        judge.check_readers(self.readers)
        judge.check_equal(self.nodes)
        primary = primary_of(self.nodes)
        assert primary is not None
        outcome.there = judge.check_writes(primary, self.writers)
        outcome.batches = judge.check_logs(self.nodes)
        outcome.acknowledged = sum(len(writer.acknowledged) for writer in self.writers)
        outcome.read = sum(reader.read for reader in self.readers)
        outcome.memory_bytes = max(map(judge.memory_bytes, self.nodes))
        judge.check_backups(self._target)
        judge.check_ends(self.nodes)

    def _end(self) -> None:
        for application in (*self.writers, *self.readers):
            application.ending.set()
        for node in self.nodes:
            node.end()
        self._operator.close()
        for _, process in self._verbs:
            process.kill()
            process.communicate()
        self._places.close()
