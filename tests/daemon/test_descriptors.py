"""How many clients there may be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from replicad.daemon.config import load_primary
from replicad.daemon.process.supervise import within_descriptors


@pytest.mark.parametrize(
    ("wanted", "limit", "clients_max"),
    [(10_000, 65_536, 10_000), (10_000, 1024, 512), (10, 1024, 10), (10_000, sys.maxsize, 10_000)],
)
def test_clients_take_half_of_the_descriptors(
    tmp_path: Path, wanted: int, limit: int, clients_max: int
) -> None:
    config = load_primary(None, data=tmp_path, clients__clients_max=wanted)
    assert within_descriptors(config, limit).clients.clients_max == clients_max
