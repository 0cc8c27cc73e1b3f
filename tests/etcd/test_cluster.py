"""Three members that are killed, stand still, and come back: the calls go on where a majority is left."""

from __future__ import annotations

import asyncio

from replicad.errors import EtcdError
from replicad.etcd.calls import Etcd, IsAbsent, Put, TxnOutcome
from tests.support.etcd.contract import found
from tests.support.etcd.gateways import MakeGateway
from tests.support.etcd.servers import EtcdCluster, needs_etcd

pytestmark = needs_etcd

SHORT = 1.5
"""Seconds for a request to a member that stands still."""
WAIT_SECONDS = 60.0


async def at_last(etcd: Etcd, key: bytes, value: bytes) -> None:
    """Puts, as often as needed: a cluster that loses its leader answers nothing until it has another."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                assert (await etcd.txn([], [Put(key, value)])).succeeded
                return
            except EtcdError:
                await asyncio.sleep(0.02)


async def test_a_member_that_is_lost_does_not_stop_the_calls(
    cluster: EtcdCluster, gateway_to: MakeGateway
) -> None:
    """Whichever it is, and whether it was killed or stands still; with the same data it comes back."""
    etcd = gateway_to(*cluster.endpoints, request_seconds=SHORT)
    await at_last(etcd, b"k", b"0")
    for number, member in enumerate(cluster.members):
        member.kill() if number % 2 else member.stop()
        value = b"%d" % (number + 1)
        await at_last(etcd, b"k", value)
        pair = await found(etcd, b"k")
        assert pair is not None and pair.value == value
        member.start() if number % 2 else member.go_on()


async def test_a_minority_answers_nothing(cluster: EtcdCluster, gateway_to: MakeGateway) -> None:
    """No read, for it could be old; no lease; and what becomes of a transaction is unknown."""
    etcd = gateway_to(cluster.endpoints[2], request_seconds=SHORT)
    await at_last(etcd, b"k", b"v")
    cluster.members[0].stop()
    cluster.members[1].stop()
    asked = (etcd.range(b"k"), etcd.grant(5), etcd.txn([IsAbsent(b"x")], [Put(b"x", b"")]))
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, EtcdError) and cluster.endpoints[2] in str(answer)
    cluster.members[0].go_on()
    await at_last(etcd, b"k", b"w")


async def test_one_of_many_claims_at_all_members_wins(cluster: EtcdCluster, gateway_to: MakeGateway) -> None:
    """Each gateway begins at another member."""
    etcds = [gateway_to(*cluster.endpoints[at:], *cluster.endpoints[:at]) for at in range(3)]
    await at_last(etcds[0], b"k", b"v")

    async def claim(number: int) -> TxnOutcome:
        return await etcds[number % 3].txn([IsAbsent(b"leader")], [Put(b"leader", b"%d" % number)])

    outcomes = await asyncio.gather(*(claim(number) for number in range(30)))
    won = [number for number, outcome in enumerate(outcomes) if outcome.succeeded]
    pairs = [await found(etcd, b"leader") for etcd in etcds]
    assert [pair and pair.value for pair in pairs] == [b"%d" % number for number in won] * 3
    assert len(won) == 1
