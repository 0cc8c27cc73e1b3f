"""docs/metrics.md, made from the node's metrics: `python -m tests.deploy.metrics_page` writes it."""

from __future__ import annotations

from pathlib import Path

from replicad.daemon.metrics import latency
from replicad.daemon.metrics.catalogue import PARTS
from replicad.env.durations import BOUNDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"

INTRODUCTION = """\
# Metrics

`GET /metrics` on the HTTP port gives these to Prometheus, as plain text or OpenMetrics as it asks,
with the `process_…` metrics of the process. Values are read when scraped. A metric whose value is not
known has no sample. Counters begin at 0 with the process; those of clients and of the tree begin anew when a
bootstrap exchanges the data. `replica` is the node id: join with `replicad_replica_info` for the name.
`deploy/prometheus/replicad.rules.yml` has alerts, `deploy/grafana/replicad.json` a dashboard.

<!-- Below: made by `python -m tests.deploy.metrics_page`. -->
"""


def page() -> str:
    """Markdown: one table for each part."""
    lines = [INTRODUCTION.rstrip()]
    for title, part in {**PARTS, "Latency": latency}.items():
        lines += ["", f"## {title}", "", "| metric | kind | labels | |", "|---|---|---|---|"]
        for metric in part.METRICS:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    bounds = ", ".join(f"{bound:g}" for bound in BOUNDS)
    return "\n".join([*lines, "", f"Buckets of the histograms, in seconds: {bounds}."]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
