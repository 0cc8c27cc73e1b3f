"""What is drawn: panels with their lines, out of what was measured. Pure: no drawing, no measuring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.daemons.load import VALUE_BYTES, encoded

KEY_BYTES = 16
LOG_OVERHEAD_BYTES = 62
"""Of a SET in the log: the frame's header, and tag and lengths in its body."""


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    xs: list[float]
    ys: list[float]
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Two logarithmic axes, but for `x_is_linear`."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line]
    x_is_linear: bool = False


def request_bytes(value_bytes: int) -> int:
    """Of a SET with such a value, as a client sends it."""
    return len(encoded(b"SET", bytes(KEY_BYTES), bytes(value_bytes)))


def log_bytes(value_bytes: int) -> int:
    return KEY_BYTES + value_bytes + LOG_OVERHEAD_BYTES


def panels(document: dict[str, Any]) -> dict[str, list[Panel]]:
    """By the name of each curve that was measured: its panels, left to right."""
    makers = {"records": _records, "values": _values, "replicas": _replicas, "clients": _clients}
    return {
        name: makers[name](curve, document["limits"])
        for name, curve in document["curves"].items()
        if name in makers
    }


def _records(curve: list[dict[str, float]], limits: dict[str, float]) -> list[Panel]:
    xs = [point["records"] for point in curve]
    log_rate = limits["disk_bytes_per_second"] / log_bytes(VALUE_BYTES)
    return [
        Panel(
            f"rate, values of {VALUE_BYTES} bytes",
            "records",
            "operations a second",
            [
                _line("SET, one client that pipelines", curve, "records", "sets_per_second"),
                _line("GET, pipeline 16", curve, "records", "gets_per_second"),
                Line("disk: the log of SET alone", xs, [log_rate] * len(xs), is_limit=True),
                _loopback_rate(xs, limits, VALUE_BYTES),
            ],
        ),
        _cost(curve, "records", "records", {"SET": "set_processor_us", "GET": "get_processor_us"}),
    ]


def _values(curve: list[dict[str, float]], limits: dict[str, float]) -> list[Panel]:
    xs = [point["value_bytes"] for point in curve]
    moved = [point["value_bytes"] * point["sets_per_second"] for point in curve]
    per_byte = [point["set_processor_us"] * 1000 / point["value_bytes"] for point in curve]
    return [
        Panel(
            "throughput of SET, random values",
            "bytes of a value",
            "bytes a second",
            [
                Line("SET, one client that pipelines", xs, moved),
                Line("loopback", xs, [limits["loopback_bytes_per_second"]] * len(xs), is_limit=True),
                Line("disk", xs, [limits["disk_bytes_per_second"]] * len(xs), is_limit=True),
            ],
        ),
        Panel(
            "processor time of the primary, flush and compaction included",
            "bytes of a value",
            "ns a byte",
            [Line("SET", xs, per_byte)],
        ),
    ]


def _replicas(curve: list[dict[str, float]], limits: dict[str, float]) -> list[Panel]:
    xs = [point["replicas"] for point in curve]
    wire, disk = limits["loopback_bytes_per_second"], limits["disk_bytes_per_second"]
    sent = [wire / (request_bytes(VALUE_BYTES) + replicas * log_bytes(VALUE_BYTES)) for replicas in xs]
    written = [disk / ((1 + replicas) * log_bytes(VALUE_BYTES)) for replicas in xs]
    return [
        Panel(
            f"rate of SET, values of {VALUE_BYTES} bytes, pipeline 16",
            "replicas on the same machine",
            "operations a second",
            [
                _line("SET", curve, "replicas", "sets_per_second"),
                Line("loopback: request and stream", xs, sent, is_limit=True),
                Line("disk: all logs", xs, written, is_limit=True),
            ],
            x_is_linear=True,
        ),
        _cost(curve, "replicas", "replicas", {"SET": "set_processor_us"}, x_is_linear=True),
    ]


def _clients(curve: list[dict[str, float]], limits: dict[str, float]) -> list[Panel]:
    xs = [point["clients"] for point in curve]
    one_sync_each = [clients / limits["fdatasync_seconds"] for clients in xs]
    return [
        Panel(
            "rate of durable SETs, one at a time by each client",
            "clients",
            "operations a second",
            [
                _line("SET, sync", curve, "clients", "sets_per_second"),
                Line("fdatasync: all clients in each", xs, one_sync_each, is_limit=True),
                _loopback_rate(xs, limits, VALUE_BYTES),
            ],
        ),
        _cost(curve, "clients", "clients", {"SET": "set_processor_us"}),
    ]


def _line(label: str, curve: list[dict[str, float]], x: str, y: str) -> Line:
    return Line(label, [point[x] for point in curve], [point[y] for point in curve])


def _loopback_rate(xs: list[float], limits: dict[str, float], value_bytes: int) -> Line:
    rate = limits["loopback_bytes_per_second"] / request_bytes(value_bytes)
    return Line("loopback: requests of SET", xs, [rate] * len(xs), is_limit=True)


def _cost(
    curve: list[dict[str, float]], x: str, x_label: str, lines: dict[str, str], *, x_is_linear: bool = False
) -> Panel:
    return Panel(
        "processor time of the primary, background included",
        x_label,
        "µs an operation",
        [_line(label, curve, x, y) for label, y in lines.items()],
        x_is_linear,
    )
