"""`replicad status` of real nodes: what it decides comes from the documents that they really write."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from tests.cli.health.documents import PRIMARY, REPLICA
from tests.support.nodes.daemons import Cluster, follows
from tests.support.waiting import eventually


def status(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "replicad", "status", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def missing(wanted: Any, real: Any, path: str = "") -> list[str]:
    """The keys that rules look at and that a real document does not have."""
    if isinstance(wanted, dict) and isinstance(real, dict):
        absent = [f"{path}.{key}" for key in wanted if key not in real]
        both = [missing(wanted[key], real[key], f"{path}.{key}") for key in wanted if key in real]
        return absent + [each for found in both for each in found]
    if isinstance(wanted, list) and isinstance(real, list) and wanted and real:
        return missing(wanted[0], real[0], f"{path}[0]")
    return []


def test_status_says_what_is_wrong_with_real_nodes(cluster: Cluster) -> None:
    """Both are well; then the primary is gone, and the replica says so; a check sees the same."""
    primary, replica = cluster.primary().start(), cluster.replica().start()
    follows(replica, primary)
    names = f":{primary.port}", f":{replica.port}"
    eventually(lambda: status(*names)[1].startswith("2 nodes well"))
    assert missing(PRIMARY, primary.status()) == missing(REPLICA, replica.status()) == []
    code, line = status("--check", *names)
    assert (code, line.startswith("REPLICAD OK: 2 nodes well | ")) == (0, True)

    primary.kill()
    eventually(lambda: "gets no log, its data is" in status(*names)[1])
    code, line = status("--check", *names)
    assert (code, "cannot be reached: connection refused (1 more)" in line) == (2, True)
