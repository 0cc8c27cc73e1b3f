"""Linked primaries for the tests: what they said is shown when one fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.links.sites import Sites


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Sites]:
    yield from _started(Sites(tmp_path, 2))


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Sites]:
    yield from _started(Sites(tmp_path, 3))


def _started(sites: Sites) -> Iterator[Sites]:
    try:
        sites.start()
        yield sites
    finally:
        sites.end()
        for node in sites.nodes:
            print(f"--- {node.log.name}\n{node.tail()}")
