"""How long things take: the histograms of a node."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Samples, histogram
from replicad.daemon.metrics.timings import NodeTimings

COMMIT = histogram(
    "replicad_commit_seconds",
    "From handing a group of client batches to the store until they are visible: durable, under sync.",
)
SYNC = histogram(
    "replicad_log_sync_seconds",
    "From the beginning of an fdatasync of the log until the store knows of its end.",
)
APPLY = histogram(
    "replicad_apply_seconds",
    "How long a replica takes to check, append and insert what came from its primary, a piece at once.",
)
COMMANDS = histogram(
    "replicad_command_seconds",
    "How long commands take in the node, by group. Measured by rounds of clients and by turns, not for each "
    "command: what is executed together counts with the time of all of it, and a write with its commit.",
    "group",
)
LOOP = histogram(
    "replicad_event_loop_lag_seconds",
    "How late a timer of 20 ms is called: how long the loop keeps others waiting.",
)

METRICS = (COMMIT, SYNC, APPLY, COMMANDS, LOOP)


def samples(timings: NodeTimings) -> Samples:
    for metric, durations in (
        (COMMIT, timings.commit),
        (SYNC, timings.log_sync),
        (APPLY, timings.apply),
        (LOOP, timings.event_loop_lag),
    ):
        if durations is not None:
            yield metric.of(durations)
    for group, durations in timings.commands.items():
        yield COMMANDS.of(durations, group)
