"""All metrics of a node, part by part."""

from __future__ import annotations

from types import ModuleType

from replicad.daemon.metrics import (
    backups,
    clients,
    delay,
    failover,
    feeds,
    latency,
    link,
    links,
    memory,
    node,
    positions,
    replicas,
    security,
    traffic,
    tree,
    verification,
)
from replicad.daemon.metrics.metric import Document, Metric, Samples

PARTS: dict[str, ModuleType] = {
    "The node": node,
    "Positions and log": positions,
    "Replicas and slots": replicas,
    "Change feeds": feeds,
    "The link of a replica": link,
    "Delayed replicas": delay,
    "Failover": failover,
    "Links between primaries": links,
    "Replication traffic": traffic,
    "Backups": backups,
    "Verification": verification,
    "The tree": tree,
    "Memory": memory,
    "Clients": clients,
    "Certificates and logins": security,
}
"""By its title in docs/metrics.md."""

METRICS: tuple[Metric, ...] = tuple(metric for part in (*PARTS.values(), latency) for metric in part.METRICS)


def samples(document: Document) -> Samples:
    for part in PARTS.values():
        yield from part.samples(document)
