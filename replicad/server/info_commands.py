"""What INFO says of commands: `# Commandstats`, `# Errorstats` and `# Latencystats`.

Times are measured as `command_usage` says. A percentile is the upper end of a bucket of the command's group
(reads, writes, or the command alone), because there is no histogram for each simple command.
"""

from __future__ import annotations

from replicad.env.durations import Durations
from replicad.server.server_state import ServerState

PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def commandstats(server: ServerState) -> dict[str, object]:
    server.usage.settle()
    return {
        f"cmdstat_{name}": (
            f"calls={found.calls},usec={found.seconds * 1e6:.0f},"
            f"usec_per_call={found.seconds * 1e6 / max(1, found.calls):.2f},"
            f"rejected_calls={found.rejected},failed_calls={found.failed}"
        )
        for name, found in sorted(server.usage.by_name.items())
        if found.calls or found.rejected or found.failed
    }


def errorstats(server: ServerState) -> dict[str, object]:
    return {f"errorstat_{code}": f"count={count}" for code, count in sorted(server.usage.errors.items())}


def latencystats(server: ServerState) -> dict[str, object]:
    server.usage.settle()
    fields: dict[str, object] = {}
    for name, found in sorted(server.usage.by_name.items()):
        group = server.usage.by_group.get(found.group)
        if found.calls and group is not None and group.count:
            fields[f"latency_percentiles_usec_{name}"] = _percentiles(group)
    return fields


def _percentiles(durations: Durations) -> str:
    return ",".join(f"{name}={durations.quantile(part) * 1e6:.3f}" for name, part in PERCENTILES.items())
