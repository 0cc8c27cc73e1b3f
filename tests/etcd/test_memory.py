"""The etcd in memory, on which other tests and the simulation stand, keeps the contract of the real one."""

from __future__ import annotations

import pytest

from tests.support.etcd.contract import CHECKS, TIMED, Check, TimedCheck
from tests.support.etcd.keys import EtcdKeys
from tests.support.etcd.memory import MemoryEtcd
from tests.support.nodes.cluster import LeaseClock


@pytest.fixture
def clock() -> LeaseClock:
    return LeaseClock()


@pytest.fixture
def etcd(clock: LeaseClock) -> MemoryEtcd:
    return MemoryEtcd(EtcdKeys(clock.awake), clock)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(etcd: MemoryEtcd, check: Check) -> None:
    """One check of the contract."""
    await check(etcd)


@pytest.mark.parametrize("check", TIMED, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract_of_leases(
    etcd: MemoryEtcd, clock: LeaseClock, check: TimedCheck
) -> None:
    """One that needs time, which passes when it is told to."""

    async def pass_time(seconds: float) -> None:
        clock.now += seconds

    await check(etcd, pass_time)
