"""What one seed decides before anything happens: the cluster, what it promises, and what will befall it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from replicad.daemon.config import PrimaryConfig, ReplicaConfig
from replicad.net.addresses import Address
from replicad.options import KIB, Options
from replicad.replication.failover_options import FailoverOptions
from replicad.replication.options import ReplicationOptions, RoleOptions, VerificationOptions
from tests.sim.mishaps import ELECTIONS, MISHAPS

Promise = Literal["sync", "synchronous", "async", "failover"]
"""What an acknowledged write survives:

sync          whatever happens to processes and power; the role changes by switchover only
synchronous   that, and promotions by force while the primary is away: all replicas acknowledged it
async         kills, and no loss of power or promotion: what is lost then is a tail
failover      whatever happens, with promotions that nobody orders: one replica acknowledged it
"""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    seed: int
    promise: Promise
    cascade: bool
    faults: tuple[str, ...]
    """The kinds that are drawn from."""
    fault_seconds: float
    """Between two of them, on average."""
    chaos_seconds: float
    store: Options
    link: ReplicationOptions
    roles: RoleOptions
    verification: VerificationOptions
    keys: int
    outage_seconds_max: float = 4.0
    failover: FailoverOptions = field(default_factory=FailoverOptions)
    priorities: tuple[int, ...] = (100, 100, 100)
    clock_rates: tuple[float, ...] = ()
    """How fast the clock of each node runs, where that is far off: leases say nothing then, and promises
    alone must do."""
    delay_seconds: float
    """Of the last node: how late it applies, by its own clock, which may be minutes off."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("one", "two", "three")


ETCD = ("etcd-down", "etcd-restart", "etcd-cut", "etcd-half-open", "etcd-slow", "etcd-lossy")
MILD = ("kill", "die", "stop", "pause", "reset", "partition", "half-open", "slow", "clock")


def draw_scenario(seed: int) -> Scenario:
    draw, ages, mishaps = (random.Random(f"{what} {seed}") for what in ("scenario", "ages", "mishaps"))
    max_staleness = ages.choice((0.0, 1.0, 2.0))
    promise: Promise = draw.choices(("sync", "synchronous", "async"), (4, 4, 3))[0]
    kinds: list[str] = [*MILD, "power", "die-power", "switchover"]
    if promise != "sync":
        kinds += ["promote", "promote"]
    if promise != "synchronous":
        kinds += ["wipe"]
    chosen = tuple(draw.sample(kinds, draw.randint(2, min(7, len(kinds)))))
    chosen += tuple(kind for kind in MISHAPS if mishaps.random() < 0.15)
    quick = draw.random() < 0.5
    store: dict[str, Any] = {
        "durability": "async" if promise == "async" and draw.random() < 0.6 else "sync",
        "memtable_bytes": 64 * KIB,
        "block_cache_bytes": 256 * KIB,
        "block_bytes": 1024,
        "table_bytes": 16 * KIB,
        "level0_compaction_tables": 2,
        "level_base_bytes": 32 * KIB,
        "level_multiplier": 4,
        "segment_bytes": draw.choice((4, 8, 32)) * KIB,
        "log_retention_bytes": draw.choice((0, 8 * KIB, 1 << 30)),
        "log_disk_floor_bytes": 0,
    }
    link: dict[str, Any] = {
        "heartbeat_seconds": draw.choice((0.25, 0.5)),
        "idle_seconds": draw.choice((1.0, 2.0)),
        "connect_seconds": 1.0,
        "handshake_seconds": 2.0,
        "backoff_seconds_min": 0.05,
        "backoff_seconds_max": 0.5,
        "stopped_retry_seconds": 0.5,
        "send_seconds": 2.0,
        "max_staleness_seconds": max_staleness,
        "synchronous": "any 2" if promise == "synchronous" else "",
        "synchronous_seconds_max": 1.5,
        "chunk_bytes": draw.choice((2, 16, 256)) * KIB,
        "window_bytes": draw.choice((4, 64, 1024)) * KIB,
        "file_chunk_bytes": draw.choice((2, 16)) * KIB,
        "copy_window_bytes": draw.choice((8, 64)) * KIB,
        "slot_log_bytes_max": draw.choice((1, 16 * KIB, 1 << 30)),
        "copy_keep_seconds": draw.choice((3.0, 3600.0)),
        "free_bytes_min": 0,
    }
    return Scenario(
        seed=seed,
        promise=promise,
        cascade=draw.random() < (0.6 if max_staleness else 0.3),
        faults=chosen,
        fault_seconds=draw.choice((0.3, 0.8, 1.5)),
        chaos_seconds=draw.choice((5.0, 10.0, 15.0)),
        store=Options(**store),
        link=ReplicationOptions(**link),
        roles=RoleOptions(
            stood_still_seconds=0.6 if quick else 1.0,
            ask_seconds=0.3,
            meet_seconds=0.3,
            switchover_seconds=draw.choice((1.0, 3.0)),
            when_alone="serve" if promise != "synchronous" else draw.choice(("serve", "wait")),
        ),
        verification=VerificationOptions(
            interval_seconds=draw.choice((0.0, 2.0)), section_seconds=2.0, bytes_per_second=1 << 20
        ),
        keys=draw.choice((10, 60, 300)),
        delay_seconds=_delay(seed, max_staleness),
    )


def draw_failover(seed: int) -> Scenario:
    """The same cluster with etcd beside it: nobody promotes by hand."""
    scenario, draw = draw_scenario(seed), random.Random(f"failover {seed}")
    kinds = [*MILD, *ETCD, *ETCD, *ELECTIONS, *ELECTIONS, "power", "die-power", "switchover", "kill", "pause"]
    ttl = draw.choice((2, 3))
    return replace(
        scenario,
        promise="failover",
        cascade=False,
        faults=tuple(draw.sample(kinds, draw.randint(2, 8))),
        fault_seconds=draw.choice((0.8, 1.5, 3.0)),
        chaos_seconds=draw.choice((10.0, 20.0, 30.0)),
        store=replace(scenario.store, durability="sync"),
        link=replace(scenario.link, synchronous="any 1"),
        outage_seconds_max=draw.choice((4.0, 12.0)),
        priorities=tuple(draw.choice((100, 200)) for _ in scenario.names),
        clock_rates=tuple(draw.choice((0.2, 0.5, 1.0)) for _ in scenario.names)
        if draw.random() < 0.3
        else (),
        failover=FailoverOptions(
            etcd=("http://etcd:2379",), ttl_seconds=ttl, keepalive_seconds=0.4, margin_seconds=0.4
        ),
        delay_seconds=0.0,
    )


def _clock_rates(draw: random.Random) -> tuple[float, ...]:
    return tuple(draw.choice((0.2, 0.5, 1.0)) for _ in range(3))


def _delay(seed: int, max_staleness: float) -> float:
    draw = random.Random(f"delay {seed}")
    delay = draw.choice((0.5, 1.5)) if draw.random() < 0.3 else 0.0
    return 0.0 if 0 < max_staleness <= delay else delay


def host_of(index: int) -> str:
    return f"127.0.0.{index + 1}"


def config_of(scenario: Scenario, index: int) -> PrimaryConfig | ReplicaConfig:
    if index == 0:
        return PrimaryConfig(**_common(scenario, index, scenario.names[index]))
    upstream = 1 if index == 2 and scenario.cascade and not scenario.link.synchronous else 0
    return replica_config(scenario, scenario.names[index], host_of(upstream))


def stranger_config(scenario: Scenario) -> PrimaryConfig:
    """Of a node that has nothing to do with the cluster, but can be reached."""
    alone = replace(scenario.link, synchronous="")
    return PrimaryConfig(**_common(scenario, len(scenario.names), "stranger") | {"link": alone})


def replica_config(scenario: Scenario, name: str, primary_host: str) -> ReplicaConfig:
    values = _common(scenario, scenario.names.index(name), name)
    return ReplicaConfig(**values, primary=Address(primary_host, 6381))


def _common(scenario: Scenario, index: int, name: str) -> dict[str, Any]:
    host = host_of(index)
    return {
        "data": Path(f"/{name}"),
        "name": name,
        "listen": Address(host, 6380),
        "replication": Address(host, 6381),
        "store": scenario.store,
        "link": _link_of(scenario, index),
        "roles": scenario.roles,
        "verification": scenario.verification,
        "failover": replace(scenario.failover, priority=(*scenario.priorities, 100)[index]),
    }


def _link_of(scenario: Scenario, index: int) -> ReplicationOptions:
    if index != len(scenario.names) - 1:
        return scenario.link
    return replace(scenario.link, apply_delay_seconds=scenario.delay_seconds)
