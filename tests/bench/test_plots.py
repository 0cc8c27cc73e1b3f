"""`make bench-plots`: what is drawn of a measurement, and that a measurement has what is drawn."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.plots.extent import FULL, QUICK
from bench.plots.growth import measure_curve
from bench.plots.machine_limits import measure_limits
from bench.plots.panels import log_bytes, panels, request_bytes

COSTS = {"sets_per_second": 2000.0, "set_processor_us": 4.0}
DOCUMENT: dict[str, Any] = {
    "versions": ["replicad 1", "2 processors"],
    "limits": {
        "loopback_bytes_per_second": 1e9,
        "disk_bytes_per_second": 1e8,
        "fdatasync_seconds": 0.001,
    },
    "curves": {
        "records": [
            {"records": n, "gets_per_second": 5000.0, "get_processor_us": 2.0, "peak_bytes": 1e8, **COSTS}
            for n in (100, 1000)
        ],
        "values": [{"value_bytes": n, **COSTS} for n in (16, 1024)],
        "replicas": [{"replicas": n, **COSTS} for n in (0, 3)],
        "clients": [{"clients": n, **COSTS} for n in (1, 50)],
    },
}
DISK_RATE = 1e8 / log_bytes(100)
WIRE_RATE = 1e9 / request_bytes(100)


@pytest.mark.parametrize(
    ("curve", "label", "xs", "ys", "is_limit"),
    [
        ("records", "GET, pipeline 16", [100, 1000], [5000, 5000], False),
        ("records", "disk: the log of SET alone", [100, 1000], [DISK_RATE] * 2, True),
        ("records", "loopback: requests of SET", [100, 1000], [WIRE_RATE] * 2, True),
        ("values", "SET, one client that pipelines", [16, 1024], [32_000, 2_048_000], False),
        ("values", "SET", [16, 1024], [250, 3.90625], False),
        ("values", "disk", [16, 1024], [1e8, 1e8], True),
        ("values", "loopback", [16, 1024], [1e9, 1e9], True),
        ("replicas", "SET", [0, 3], [2000, 2000], False),
        ("replicas", "disk: all logs", [0, 3], [DISK_RATE, DISK_RATE / 4], True),
        (
            *("replicas", "loopback: request and stream", [0, 3]),
            *([WIRE_RATE, 1e9 / (request_bytes(100) + 3 * log_bytes(100))], True),
        ),
        ("clients", "fdatasync: all clients in each", [1, 50], [1000, 50_000], True),
    ],
)
def test_each_panel_has_its_lines_and_limits(
    curve: str, label: str, xs: list[float], ys: list[float], is_limit: bool
) -> None:
    """Limits are in the unit of the panel: bytes a second, or how often that many bytes or syncs fit."""
    found = next(line for panel in panels(DOCUMENT)[curve] for line in panel.lines if line.label == label)
    assert (found.xs, found.is_limit) == (xs, is_limit)
    assert found.ys == pytest.approx(ys)


def test_only_what_was_measured_is_drawn() -> None:
    assert list(panels({**DOCUMENT, "curves": {"clients": DOCUMENT["curves"]["clients"]}})) == ["clients"]


def test_curves_go_as_far_as_they_say() -> None:
    """A full run covers the ranges of bench/README.md."""
    assert (FULL.records[0], FULL.records[-1]) == (10**5, 10**7)
    assert (FULL.value_bytes[0], FULL.value_bytes[-1]) == (16, 1 << 20)
    assert (FULL.replicas[0], FULL.replicas[-1]) == (0, 8)
    assert (FULL.clients[0], FULL.clients[-1]) == (1, 1000)


def test_a_png_is_drawn_for_each_curve(tmp_path: Path) -> None:
    """With its own program, out of the JSON file alone."""
    pytest.importorskip("matplotlib")
    source = tmp_path / "growth.json"
    source.write_text(json.dumps(DOCUMENT))
    subprocess.run([sys.executable, "-m", "bench.plots.draw", source, tmp_path], check=True)
    drawn = {path.stem: path.read_bytes() for path in tmp_path.glob("*.png")}
    assert set(drawn) == set(DOCUMENT["curves"])
    assert all(data.startswith(b"\x89PNG") for data in drawn.values())


def test_limits_are_measured_where_the_nodes_write(tmp_path: Path) -> None:
    limits = measure_limits(tmp_path, replace(QUICK, limit_bytes=2 << 20, limit_syncs=3))
    assert min(limits.loopback_bytes_per_second, limits.disk_bytes_per_second) > 0
    assert limits.fdatasync_seconds > 0
    assert list(tmp_path.iterdir()) == []


TINY = replace(
    QUICK,
    records=(200, 1000),
    reads=200,
    value_bytes=(16, 70_000),
    values_total_bytes=500_000,
    replicas=(1,),
    replicated_requests=500,
    clients=(3,),
)


@pytest.mark.parametrize("name", ["records", "values", "replicas", "clients"])
def test_a_measured_curve_can_be_drawn(tmp_path: Path, name: str) -> None:
    """Every point has all that its panels draw, above 0: the axes are logarithmic."""
    if name != "values" and shutil.which("redis-benchmark") is None:
        pytest.skip("redis-benchmark is not installed")
    curve = measure_curve(name, tmp_path, TINY)
    for panel in panels({**DOCUMENT, "curves": {name: curve}})[name]:
        for line in panel.lines:
            assert len(line.xs) == len(line.ys) == len(curve)
            assert min(line.ys) > 0
