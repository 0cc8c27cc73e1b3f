"""Healthy status documents, as short as the rules allow."""

from __future__ import annotations

import copy
from typing import Any

_STORE = {
    "refused": None,
    "retention": {"short_of_room_bytes": 0},
    "clock": {"ahead_seconds": 0.0, "behind_seconds": 0.0},
    "table_bytes": 2048,
}
_COMMON = {
    "node_id": "a" * 32,
    "database_id": "d" * 32,
    "position": "1:40:00000000000000ff",
    "epoch": 1,
    "fenced_by_epoch": None,
    "clash": None,
    "log_lines_dropped": 0,
    "discarded": {"batches": 0, "files": []},
    "stalled": None,
    "failure": None,
    "log": {"log_bytes": 1024},
    "store": _STORE,
    "verification": {"doubt": None, "refuses_reads": False, "quarantined": []},
    "backup": {"making": None, "last": None, "age_seconds": None},
    "log_archive": None,
    "clients": {"connected": 3, "connected_max": 10_000, "internal_errors": 0, "commands": 100},
    "tls": None,
    "synchronous": "",
}
PRIMARY = _COMMON | {
    "role": "primary",
    "standing": "primary",
    "replication": "10.0.0.1:6381",
    "peers": [{"node_id": "b" * 32, "clients": "10.0.0.2:6380"}],
    "replicas": [
        {
            "node_id": "b" * 32,
            "name": "lyon",
            "state": "streaming",
            "lag_bytes": 0,
            "lag_seconds": 0.0,
            "slot": "reserved",
            "slot_reason": None,
            "slot_retained_bytes": 0,
            "slot_safe_bytes": 4 << 30,
            "slot_exhausted_in_seconds": 600.0,
        }
    ],
}
REPLICA = _COMMON | {
    "node_id": "b" * 32,
    "role": "replica",
    "standing": "following",
    "primary": "10.0.0.1:6381",
    "primary_clients": "10.0.0.1:6380",
    "link": {
        "state": "streaming",
        "waits_for": "the next frames",
        "last_error": None,
        "lag_seconds": 0.0,
        "staleness_seconds": 0.8,
        "primary_clock_ahead_seconds": -0.01,
        "reads_refused": None,
    },
    "bootstrap": None,
    "replicas": [],
}
BASES: dict[str, dict[str, Any]] = {"primary": PRIMARY, "replica": REPLICA, "empty": {}}


def document(base: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A copy of a base, with the values of `changes` at their paths: {"link.state": "stopped"}."""
    made = copy.deepcopy(BASES[base])
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place: Any = made
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        place[last] = value
    return made
