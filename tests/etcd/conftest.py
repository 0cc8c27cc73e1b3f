"""An etcd of one member, a cluster of three, and gateways to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from replicad.etcd.gateway import Gateway
from tests.support.etcd.gateways import MakeGateway, make_gateway
from tests.support.etcd.servers import EtcdCluster, EtcdServer, one_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdServer]:
    made = one_server(tmp_path)
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    made = EtcdCluster(tmp_path)
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
async def gateway_to() -> AsyncIterator[MakeGateway]:
    """Makes gateways, and closes them."""
    made: list[Gateway] = []

    def make(*endpoints: str, **more: Any) -> Gateway:
        made.append(make_gateway(*endpoints, **more))
        return made[-1]

    yield make
    for gateway in made:
        await gateway.close()
