"""The contract of `Etcd`, kept by the gateway to a real etcd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from replicad.etcd.calls import Etcd
from tests.support.etcd.contract import CHECKS, TIMED, Check, TimedCheck
from tests.support.etcd.gateways import MakeGateway
from tests.support.etcd.servers import EtcdServer, needs_etcd, one_server

pytestmark = needs_etcd


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One for all: each check has keys of its own."""
    made = one_server(tmp_path_factory.mktemp("etcd"))
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def etcd(shared: EtcdServer, gateway_to: MakeGateway) -> Etcd:
    return gateway_to(shared.endpoint)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_gateway_keeps_the_contract(etcd: Etcd, check: Check) -> None:
    """One check of the contract."""
    await check(etcd)


@pytest.mark.parametrize("check", TIMED, ids=lambda check: check.__name__)
async def test_the_gateway_keeps_the_contract_of_leases(etcd: Etcd, check: TimedCheck) -> None:
    """One that needs time, which really passes here."""
    await check(etcd, asyncio.sleep)
