"""A cluster of real processes for each test; its logs are shown when the test fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemons import Cluster, Daemon


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        yield made
    finally:
        made.end()
        for daemon in made.daemons:
            if daemon.log.exists():
                print(f"--- {daemon.log.name}\n{daemon.tail()}")


@pytest.fixture
def primary(cluster: Cluster) -> Daemon:
    return cluster.primary().start()
