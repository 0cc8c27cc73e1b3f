"""One metric: its name by Prometheus's conventions, what it means, and its labels.

Each part of the metrics is a module with its `METRICS` and a function `samples` of the status document, which
is pure: what a document leaves out has no sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from replicad.env.durations import Durations

Kind = Literal["gauge", "counter", "histogram"]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Metric:
    """`help` is one sentence or two, which docs/metrics.md shows."""

    kind: Kind
    name: str
    help: str
    labels: tuple[str, ...] = ()

    def of(self, value: float | Durations, *labels: str) -> MetricSample:
        assert len(labels) == len(self.labels), self.name
        return MetricSample(self, labels, value)


@dataclass(frozen=True, slots=True)
class MetricSample:
    metric: Metric
    labels: tuple[str, ...]
    value: float | Durations


Samples = Iterator[MetricSample]


def gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric("gauge", name, help, labels)


def counter(name: str, help: str, *labels: str) -> Metric:
    """`name` ends in `_total`. It begins at 0 with the process, and anew with a new copy of the data."""
    return Metric("counter", name, help, labels)


def histogram(name: str, help: str, *labels: str) -> Metric:
    return Metric("histogram", name, help, labels)


@dataclass(frozen=True, slots=True)
class Field:
    """A metric whose value stands in the document at `path`; there is no sample where it is None."""

    metric: Metric
    path: tuple[str, ...]

    def samples(self, document: Document, *labels: str) -> Samples:
        value: Any = document
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            yield self.metric.of(float(value), *labels)


class Fields:
    """Metrics of one document, each by where its value stands: `link.lag_seconds` is two steps down."""

    def __init__(self, fields: dict[str, Metric]) -> None:
        self._fields = [Field(metric, tuple(path.split("."))) for path, metric in fields.items()]
        self.metrics = tuple(fields.values())

    def samples(self, document: Document, *labels: str) -> Samples:
        for field in self._fields:
            yield from field.samples(document, *labels)
