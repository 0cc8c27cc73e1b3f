"""What one round does, drawn from its seed before anything begins."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

Promise = Literal["sync", "synchronous", "async"]
"""An acknowledged write survives:

sync          kill -9 and switchovers: it is in the log of its primary, durably
synchronous   that, and promotions by force: it is in the log of every node
async         kill -9 and switchovers, for the page cache outlives the process
"""
Kind = Literal["kill", "stand", "end", "cut", "fill", "wipe", "switchover", "promote", "verify", "backup"]

ALWAYS: tuple[Kind, ...] = (
    *("kill", "kill", "stand", "stand", "end", "cut", "cut", "fill", "switchover", "verify", "backup"),
)
NODES = 3
STRIKE_SECONDS = 1.2
"""Between two of them, on average."""


@dataclass(frozen=True, slots=True)
class Strike:
    """At `at` seconds something befalls a node, for `seconds`."""

    at: float
    kind: Kind
    node: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    promise: Promise
    disk_of: int
    """The node whose disk is small."""
    strikes: tuple[Strike, ...]
    seconds: float
    tables: dict[str, dict[str, Any]]
    """The nodes' configuration."""


def draw_plan(seed: int, seconds: float) -> Plan:
    draw = random.Random(seed)
    promise: Promise = draw.choice(("sync", "synchronous", "async"))
    disk_of = draw.randrange(NODES)
    kinds = [*ALWAYS, *(("promote", "promote") if promise == "synchronous" else ("wipe",))]
    strikes = []
    at = 0.0
    while (at := at + draw.expovariate(1 / STRIKE_SECONDS)) < seconds:
        kind, node = draw.choice(kinds), draw.randrange(NODES)
        strikes.append(Strike(at, kind, disk_of if kind == "fill" else node, draw.random() ** 2 * 5.0))
    return Plan(seed, promise, disk_of, tuple(strikes), seconds, _tables(promise, draw))


def _tables(promise: Promise, draw: random.Random) -> dict[str, dict[str, Any]]:
    return {
        "store": {
            "durability": "async" if promise == "async" else "sync",
            "memtable_bytes": draw.choice((64, 512)) * 1024,
            "segment_bytes": draw.choice((16, 256)) * 1024,
            "block_cache_bytes": draw.choice((0, 1 << 20)),
            "log_retention_bytes": draw.choice((0, 1 << 20, 1 << 30)),
            "log_disk_floor_bytes": 0,
            "disk_reserve_bytes": draw.choice((0, 2_000_000)),
        },
        "link": {
            "idle_seconds": draw.choice((1.0, 3.0)),
            "connect_seconds": 1.0,
            "handshake_seconds": 2.0,
            "synchronous": f"any {NODES - 1}" if promise == "synchronous" else "",
            "synchronous_seconds_max": 1.5,
            "slot_log_bytes_max": draw.choice((100_000, 1 << 30)),
        },
        "roles": {
            "stood_still_seconds": draw.choice((0.5, 1.0)),
            "ask_seconds": 0.5,
            "meet_seconds": 0.2,
            "switchover_seconds": draw.choice((1.0, 5.0)),
        },
        "verification": {"interval_seconds": draw.choice((0.0, 1.0))},
    }
