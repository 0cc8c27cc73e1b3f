"""A cluster of three nodes and three members of etcd, under writes, and what befalls it: one fault a round.

A round begins when one node leads and the others follow it and count, and ends when that is so again. Then
writes stand still for a moment, and all three have to hold the same: every write that was acknowledged, once.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.failover.judge import check_epochs, check_refused, not_settled
from tests.failover.places import Places
from tests.failover.plan import WEIGHTS, Expected
from tests.failover.writers import Acknowledgement, FindingWriter
from tests.support.etcd.servers import EtcdCluster, EtcdServer
from tests.support.nodes.daemons import Daemon
from tests.torture import judge
from tests.torture.asking import status_of
from tests.torture.judge import Violation
from tests.torture.verbs import address_of, begin

NODES, WRITERS = 3, 4
STEP_SECONDS = 0.02
SETTLE_SECONDS_MAX = 90.0
FAILOVER_SECONDS_MAX = 60.0
"""After that nobody is going to lead. What is promised is much less."""
ENDING_SECONDS_MAX = 20.0
LEASES_SECONDS = 1.5
"""A member of etcd looks for leases that have ended every half second. One that led and stood still may end
some when it goes on, although the member that leads now prolongs them (etcd#15247; mended in 3.4.31 and
3.5.13)."""


@dataclass
class Outcome:
    kind: str
    failover_seconds: float | None = None
    """From the fault to the first write that another node acknowledged; None where the same one leads."""
    longest_gap: float = 0.0
    """Between two acknowledgements while the fault lasted."""
    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0


class Rounds:
    def __init__(self, directory: Path, seed: int, ttl_seconds: int, *, isolated: bool) -> None:
        self.ttl_seconds = ttl_seconds
        self._draw = random.Random(f"rounds {seed}")
        self._story = directory / "story.log"
        self._places = Places(NODES, isolated=isolated)
        self.lacks = self._places.lacks
        self.etcd = EtcdCluster(directory, host=self._places.etcd_host)
        tables = _tables(ttl_seconds, self.etcd.endpoints)
        self.nodes: list[Daemon] = []
        for place in self._places.places:
            keys = {"listen": place.clients, "replication": place.replication}
            role = "replica" if self.nodes else "primary"
            if self.nodes:
                keys["primary"] = self._places.places[0].replication
            node = Daemon(directory, role, f"node-{place.number}", tables, **keys)
            node.wrapper = place.wrapper
            self.nodes.append(node)
        self._place = dict(zip(self.nodes, self._places.places, strict=True))
        self.writers = [FindingWriter(f"w{n}", self.nodes, f"{seed} writer {n}") for n in range(WRITERS)]
        self._checked = {writer.name: 0 for writer in self.writers}
        self._seen = {writer.name: 0 for writer in self.writers}
        self._counts = (0, 0, 0)
        """Writes that were acknowledged, refused, or neither, when they stood still last."""
        self._held_until = 0.0
        """Until then a node may hold still, because it was started or a leader without etcd asked it to."""
        self._fault_at = 0.0
        self._healed_at = 0.0
        self._leases_may_end = False
        """In this round etcd may end any lease before its time."""

    def say(self, what: str, **facts: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        words = " ".join(f"{name}={value}" for name, value in facts.items())
        with open(self._story, "a") as story:
            story.write(f"{at}  {what:24} {words}\n")

    # The beginning and the end.

    def start(self) -> None:
        self.etcd.start()
        for node in self.nodes:
            node.start()
        for writer in self.writers:
            writer.start()
            writer.go_on()
        self._until(self._not_settled, SETTLE_SECONDS_MAX)
        self._holds_still()

    def finish(self) -> int:
        """Looks at everything once more; how many writes are there."""
        for writer in self.writers:
            writer.pause()
        self._until(lambda: judge.not_equal(self.nodes), SETTLE_SECONDS_MAX)
        judge.check_equal(self.nodes)
        primary, _ = self._leader()
        there = judge.check_writes(primary, self.writers)
        check_refused(primary, self.writers)
        check_epochs(each for writer in self.writers for each in writer.acknowledgements)
        judge.check_logs(self.nodes)
        judge.check_ends(self.nodes)
        return there

    def end(self) -> None:
        for writer in self.writers:
            writer.ending.set()
        for node in self.nodes:
            node.end()
        self.etcd.end()
        self._places.close()

    # One round.

    def play(self, kind: str) -> Outcome:
        """Raises Violation."""
        leader, epoch = self._ready()
        outcome = Outcome(kind)
        self._leases_may_end = False
        self._seen = {writer.name: len(writer.acknowledgements) for writer in self.writers}
        self.say(kind, leader=leader.name, epoch=epoch)
        self._strike(kind, leader)

        self._until(self._not_settled, SETTLE_SECONDS_MAX)
        self._holds_still()
        after, newest = self._leader()
        self.say("settled", leader=after.name, epoch=newest)
        self._until_written(self._healed_at)
        expected = WEIGHTS[kind][1]
        if expected is Expected.SAME and self._leases_may_end:
            expected = Expected.EITHER
        if expected is Expected.SAME and (after, newest) != (leader, epoch):
            raise Violation(f"{after.name} leads in epoch {newest}, and before {leader.name} in {epoch}")
        if expected is Expected.ANOTHER and (after is leader or newest <= epoch):
            raise Violation(f"{after.name} leads in epoch {newest}, and before {leader.name} in {epoch}")
        counts = self._counts
        self._compare()
        found = self._acknowledgements()
        by_others = [each.at for each in found if each.node is not leader]
        if by_others:
            outcome.failover_seconds = min(by_others) - self._fault_at
        outcome.longest_gap = self._longest_gap(found)
        outcome.acknowledged, outcome.refused, outcome.unknown = (
            now - then for now, then in zip(self._counts, counts, strict=True)
        )
        return outcome

    def _ready(self) -> tuple[Daemon, int]:
        """Who leads, once all is well, nobody holds still any more, and writes go on."""
        self._until(lambda: "nodes hold still" if self._held_until > time.monotonic() else None, 600.0)
        self._until(self._not_settled, SETTLE_SECONDS_MAX)
        self._until_written(time.monotonic())
        return self._leader()

    def _strike(self, kind: str, leader: Daemon) -> None:
        place = self._place[leader]
        sick = self._draw.choice(self.etcd.members)
        if kind == "sick-kill":
            # If it led the others, the new one prolongs all leases. That is over when the primary is killed.
            self._make_sick(sick)
            self._fault_at = time.monotonic()
            self._last(self.ttl_seconds + 2.0)
            self._until(self._not_settled, SETTLE_SECONDS_MAX)
        other = self._draw.choice([node for node in self.nodes if node is not leader])
        if kind == "lean-switchover":
            self.say("ended", node=other.name)
            if (code := other.terminate()) != 0:
                raise Violation(f"{other.name} ended with {code} when it was told to")
        self._fault_at = time.monotonic()
        match kind:
            case "kill":
                leader.kill()
                self._until_another(leader)
                leader.spawn()
            case "restart":
                leader.kill()
                leader.spawn()
                self._until_written(self._fault_at)
            case "stop":
                leader.stop()
                self._until_another(leader)
                self._last(self.ttl_seconds + 1.0)
                self._healed_at = time.monotonic()
                leader.go_on()
            case "end":
                if (code := leader.terminate()) != 0:
                    raise Violation(f"{leader.name} ended with {code} when it was told to")
                self._until_another(leader)
                leader.spawn()
            case "switchover":
                self._switch_over(leader)
            case "lean-switchover":
                self._switch_over(leader)
                other.spawn()
            case "no-etcd":
                place.cut("etcd")
                self._go_on_with(leader)
                place.mend("etcd")
            case "no-replicas":
                place.cut("nodes")
                self._last(self.ttl_seconds + 2.0)
                self._healed_at = time.monotonic()
                place.mend("nodes")
            case "alone":
                place.cut("etcd", "nodes")
                self._until_another(leader)
                self._last(self.ttl_seconds + 2.0)
                self._healed_at = time.monotonic()
                place.mend("etcd", "nodes")
            case "etcd-down":
                self._without_etcd(leader)
            case "etcd-restart":
                for member in self.etcd.members:
                    member.kill()
                self.etcd.start()
            case "sick":
                self._make_sick(sick)
                self._go_on_with(leader)
                self._make_well(sick)
            case "sick-kill":
                leader.kill()
                self._until_another(leader)
                leader.spawn()
                self._make_well(sick)
            case _:
                raise AssertionError(kind)
        if kind not in ("stop", "no-replicas", "alone"):
            self._healed_at = time.monotonic()
        self.say("healed", seconds=round(time.monotonic() - self._fault_at, 3))
        if kind in ("stop", "no-replicas", "alone"):
            self._until(self._not_settled, SETTLE_SECONDS_MAX)
            self._check_silence(kind, leader)

    def _make_sick(self, member: EtcdServer) -> None:
        self._leases_may_end = member.leads()
        member.stop()
        self.say("stands still", member=member.endpoint, led=self._leases_may_end)

    def _make_well(self, member: EtcdServer) -> None:
        member.go_on()
        self._last(time.monotonic() - self._fault_at + LEASES_SECONDS)

    def _without_etcd(self, leader: Daemon) -> None:
        is_killed = self._draw.random() < 0.5
        self.say("etcd", is_killed=is_killed)
        for member in self.etcd.members:
            if is_killed:
                member.kill()
            else:
                member.stop()
        self._go_on_with(leader)
        for member in self.etcd.members:
            if not is_killed:
                member.go_on()
        if is_killed:
            self.etcd.start()

    def _switch_over(self, leader: Daemon) -> None:
        verb = begin("switchover", address_of(leader))
        try:
            output, _ = verb.communicate(timeout=FAILOVER_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            verb.kill()
            verb.communicate()
            raise Violation("`replicad switchover` does not end") from None
        if verb.returncode != 0:
            raise Violation(f"`replicad switchover` ended with {verb.returncode}: {output}")
        self._until_another(leader)

    # What has to happen meanwhile.

    def _until_another(self, leader: Daemon) -> None:
        def missing() -> str | None:
            is_there = any(each.node is not leader for each in self._acknowledgements())
            return None if is_there else f"nobody but {leader.name} has acknowledged a write"

        self._until(missing, FAILOVER_SECONDS_MAX)

    def _until_written(self, since: float) -> None:
        def missing() -> str | None:
            is_there = any(
                writer.acknowledgements and writer.acknowledgements[-1].asked_at > since
                for writer in self.writers
            )
            return None if is_there else "no write is acknowledged"

        self._until(missing, FAILOVER_SECONDS_MAX)

    def _go_on_with(self, leader: Daemon) -> None:
        """For longer than a lease; writes are acknowledged all the time, and no other node does it."""
        self._last(self.ttl_seconds + 2.0)
        found = self._acknowledgements()
        if wrong := [each.node.name for each in found if each.node is not leader]:
            raise Violation(f"{wrong[0]} acknowledges writes, and {leader.name} leads")
        if not any(each.asked_at > self._fault_at + self.ttl_seconds for each in found):
            raise Violation(f"{leader.name} leads, and has acknowledged nothing any more")

    def _check_silence(self, kind: str, leader: Daemon) -> None:
        """Who cannot lead any more, or be waited for, acknowledges nothing."""
        begins, ends = self._fault_at + 1.0, self._healed_at
        if kind == "stop":
            begins, ends = self._healed_at, time.monotonic()
        for each in self._acknowledgements():
            when = each.at if kind == "stop" else each.asked_at
            if each.node is leader and begins < when and each.at < ends:
                raise Violation(
                    f"{leader.name} acknowledged {each.number} {when - self._fault_at:.3f} s later"
                )

    def _compare(self) -> None:
        """All three hold the same, and what they should."""
        for writer in self.writers:
            writer.pause()
        self._until(self._not_equal, SETTLE_SECONDS_MAX)
        primary, _ = self._leader()
        judge.check_writes(primary, self.writers, self._checked)
        check_epochs(each for writer in self.writers for each in writer.acknowledgements)
        self._checked = {writer.name: writer.tried for writer in self.writers}
        self._counts = self._count()
        for writer in self.writers:
            writer.go_on()

    def _not_equal(self) -> str | None:
        if (reason := judge.not_equal(self.nodes)) is not None:
            return reason
        digests = {node.name: node.digest() for node in self.nodes}
        if len({sequence for sequence, _ in digests.values()}) > 1:
            return f"the nodes are at {digests}"
        if len({digest for _, digest in digests.values()}) > 1:
            raise Violation(f"digests differ: {digests}")
        return None

    def _acknowledgements(self) -> list[Acknowledgement]:
        """Those of this round that were given after the fault."""
        return [
            each
            for writer in self.writers
            for each in writer.acknowledgements[self._seen[writer.name] :]
            if each.at > self._fault_at
        ]

    def _count(self) -> tuple[int, int, int]:
        writers = self.writers
        return (
            sum(len(writer.acknowledged) for writer in writers),
            sum(len(writer.refused) for writer in writers),
            sum(writer.unknown for writer in writers),
        )

    def _longest_gap(self, found: Sequence[Acknowledgement]) -> float:
        times = sorted(each.at for each in found)
        gaps = zip([self._fault_at, *times], times, strict=False)
        return max((after - before for before, after in gaps if before < self._healed_at), default=0.0)

    # Waiting.

    def _holds_still(self) -> None:
        self._held_until = time.monotonic() + self.ttl_seconds + 0.5

    def _last(self, seconds: float) -> None:
        """Until so long after the fault."""
        while time.monotonic() < self._fault_at + seconds:
            judge.check_alive(self.nodes)
            time.sleep(STEP_SECONDS)

    def _until(self, why_not: Callable[[], str | None], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (reason := why_not()) is not None:
            judge.check_alive(self.nodes)
            if time.monotonic() > deadline:
                raise Violation(f"{seconds:.0f} s later {reason}")
            time.sleep(STEP_SECONDS)

    def _not_settled(self) -> str | None:
        return not_settled(self.nodes)

    def _leader(self) -> tuple[Daemon, int]:
        for node in self.nodes:
            status = status_of(node)
            if status is not None and status["standing"] == "primary":
                return node, int(status["epoch"])
        raise Violation("nobody is the primary")


def _tables(ttl_seconds: int, endpoints: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """As an operator would have them, where it is about time."""
    is_short = ttl_seconds < 3
    return {
        "store": {"log_retention_bytes": 1 << 30, "memtable_bytes": 1 << 20, "segment_bytes": 1 << 20},
        "link": {
            "synchronous": "any 1",
            "heartbeat_seconds": 1.0,
            "idle_seconds": 10.0,
            "backoff_seconds_min": 0.1,
            "backoff_seconds_max": 5.0,
            "stopped_retry_seconds": 15.0,
        },
        "failover": {
            "etcd": list(endpoints),
            "ttl_seconds": ttl_seconds,
            "keepalive_seconds": 0.5 if is_short else 1.0,
            "margin_seconds": 0.5 if is_short else 1.0,
        },
    }
