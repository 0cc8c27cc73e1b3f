"""The alerts and the dashboard: what they name is exported, and the alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from replicad.daemon.metrics.catalogue import METRICS
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = REPOSITORY / "deploy" / "prometheus" / "replicad.rules.yml"
DASHBOARD = REPOSITORY / "deploy" / "grafana" / "replicad.json"
UNIT_TESTS = REPOSITORY / "tests" / "deploy" / "prometheus" / "replicad.test.yml"

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
ENDINGS = {"histogram": ("_bucket", "_sum", "_count")}
EXPORTED = {metric.name + ending: metric for metric in METRICS for ending in ENDINGS.get(metric.kind, ("",))}
PROCESS = frozenset({"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"})


def promtool(*arguments: str | Path, text: str | None = None) -> None:
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def expressions(value: Any) -> list[str]:
    """Those of all panels, however deep they stand."""
    if isinstance(value, dict):
        own = [value[key] for key in ("expr", "query", "definition") if isinstance(value.get(key), str)]
        return own + [found for each in value.values() for found in expressions(each)]
    return [found for each in value for found in expressions(each)] if isinstance(value, list) else []


def test_alerts_and_dashboard_name_what_is_exported() -> None:
    """With labels that the metric has."""
    found = [*re.findall(r"expr: (.+)", RULES.read_text()), *expressions(json.loads(DASHBOARD.read_text()))]
    assert len(found) > 50
    for expression in found:
        for name, labels in re.findall(r"\b((?:replicad|process)_\w+)(?:\{([^}]*)\})?", expression):
            assert name in EXPORTED or name in PROCESS, f"{name} in {expression}"
            for label in re.findall(r"(\w+)\s*[=!]", labels):
                known = EXPORTED[name].labels if name in EXPORTED else ()
                assert label in (*known, "job", "instance"), f"{label} of {name} in {expression}"


def test_every_panel_has_a_title_and_a_unit() -> None:
    """And no two stand in one place."""
    panels = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
    assert all(panel["title"] and panel["fieldConfig"]["defaults"]["unit"] for panel in panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)


@needs_promtool
def test_the_alerts_fire_when_they_should() -> None:
    """Their own unit tests."""
    promtool("check", "rules", RULES)
    promtool("test", "rules", UNIT_TESTS)


@needs_promtool
async def test_what_a_node_exports_is_as_prometheus_wants_it(tmp_path: Path) -> None:
    """Names, types and help texts of a primary and its replica."""
    async with primary(tmp_path / "p") as node, replica_of(node, tmp_path / "r") as replica:
        await until(lambda: streams(replica, b"p"))
        for each in (node, replica):
            promtool("check", "metrics", text=generate_latest(each.load_registry()).decode())
