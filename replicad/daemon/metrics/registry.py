"""The node's registry of prometheus-client: one look at the node for each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from replicad.daemon.metrics import latency
from replicad.daemon.metrics.catalogue import METRICS, samples
from replicad.daemon.metrics.metric import Document, Metric, MetricSample
from replicad.daemon.metrics.timings import NodeTimings
from replicad.env.durations import BOUNDS, Durations

AnyFamily = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

_FAMILIES: dict[str, Callable[..., AnyFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}
_LIMITS = (*(str(bound) for bound in BOUNDS), "+Inf")


def registry_of(status: Callable[[], Document], timings: NodeTimings) -> CollectorRegistry:
    """What `/metrics` of a node exports, the process's own memory and descriptors included."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(status, timings))
    ProcessCollector(registry=registry)
    return registry


class NodeCollector(Collector):
    """Reads everything when it is scraped; nothing is kept up to date for it."""

    def __init__(self, status: Callable[[], Document], timings: NodeTimings) -> None:
        self._status = status
        self._timings = timings

    def describe(self) -> Iterable[Family]:
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterator[Family]:
        families: dict[Metric, AnyFamily] = {}
        for sample in (*samples(self._status()), *latency.samples(self._timings)):
            if sample.metric not in families:
                families[sample.metric] = _family(sample.metric)
            _add(families[sample.metric], sample)
        yield from families.values()


def _family(metric: Metric) -> AnyFamily:
    return _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)


def _add(family: AnyFamily, sample: MetricSample) -> None:
    value = sample.value
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, Durations)
        buckets = list(zip(_LIMITS, accumulate(value.counts), strict=True))
        family.add_metric(sample.labels, buckets, value.sum_seconds)
    else:
        assert not isinstance(value, Durations)
        family.add_metric(sample.labels, float(value))
