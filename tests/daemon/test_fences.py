"""Who may take the writes from a primary: nobody by a claim alone, and never for good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replicad.daemon.parts import NodeParts
from replicad.daemon.roles.promotion import STEP
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.connection import dial
from replicad.replication.wire.introduction import exchange
from replicad.replication.wire.messages import Decided, Grant, Hello, PositionClaim, Refuse, StandingMessage
from replicad.types import Epoch, EpochRecord, HistoryHash, Sequence
from tests.support.nodes.programs import again, primary, replica_of, streams
from tests.support.waiting import until

LAST = (1 << 32) - 1
ASK_SECONDS = 20


def epoch_from(node: NodeParts, epoch: int, *epochs: EpochRecord) -> StandingMessage:
    """What anybody may say who asked the node once."""
    said = node.survey.introduce()
    assert said.position is not None
    position = replace(said.position, epoch=Epoch(epoch))
    return replace(
        said, node=b"x" * 16, process=b"y" * 16, standing="following", position=position, epochs=epochs
    )


async def say(node: NodeParts, message: StandingMessage) -> None:
    host, _, port = node.addresses.replication.rpartition(":")
    await exchange(host, int(port), message, seconds=ASK_SECONDS)


async def test_nobody_fences_a_primary_by_a_message(tmp_path: Path) -> None:
    """Not by the last epoch, nor by one without its record, nor from a history that is not its own; the
    operator is told. By the next epoch, from its own history, it is fenced, and then promoted again by
    force."""
    async with primary(tmp_path / "p") as node:
        assert node.store is not None
        here = node.store.durable_position
        elsewhere = replace(here, history_hash=HistoryHash(here.history_hash ^ 1))
        beyond = replace(here, sequence=Sequence(here.sequence + 1))
        for epoch, fork in ((LAST, None), (LAST, here), (2, None), (2, elsewhere), (2, beyond)):
            records = () if fork is None else (EpochRecord(Epoch(epoch), b"e" * 16, fork),)
            await say(node, epoch_from(node, epoch, *records))
            assert node.standing.current is Standing.PRIMARY, (epoch, fork)
            assert node.status.document()["clash"] is not None
        await say(node, epoch_from(node, 2, EpochRecord(Epoch(2), b"e" * 16, here)))
        assert node.standing.current is Standing.FENCED
        await until(lambda: node.memory.fenced_by == 2 and not node.lock.is_taken)
        await node.promotion.promote(force=True)
        assert (node.standing.role, node.open_store.epoch > STEP) == ("primary", True)
    async with again(tmp_path / "p") as node:
        assert node.standing.current.role == "primary"


async def test_nobody_fences_a_primary_as_its_replica(tmp_path: Path) -> None:
    """A CLAIM of a higher epoch without proof is refused."""
    async with primary(tmp_path / "p") as node:
        assert node.store is not None
        host, _, port = node.addresses.replication.rpartition(":")
        connection = await dial(host, int(port))
        database = node.store.database_id
        connection.send(Hello((1,), b"x" * 16, b"y" * 16, database, (), "x"))
        await connection.receive()
        connection.send(PositionClaim(replace(node.store.durable_position, epoch=Epoch(LAST)), 1, ()))
        while not isinstance(decided := await connection.receive(), Decided):
            pass
        connection.close()
        assert decided.outcome == "stop"
        assert node.standing.current is Standing.PRIMARY


async def test_a_fence_of_before_that_nothing_true_can_be_above_is_lifted(tmp_path: Path) -> None:
    """What an older version believed: promoting by force begins an epoch soon after its own."""
    async with primary(tmp_path / "p") as node:
        node.fencing.fence(LAST)
        await until(lambda: node.memory.fenced_by == LAST and not node.lock.is_taken)
        await node.promotion.promote(force=True)
        assert node.standing.current is Standing.PRIMARY and node.open_store.epoch > STEP


@pytest.mark.parametrize("epoch", [2, LAST])
async def test_nobody_promotes_a_replica_by_a_message(tmp_path: Path, epoch: int) -> None:
    """A grant counts when the node that it names, where it is known to be, says that it gave its role
    away."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        store = node.store
        assert store is not None
        await until(lambda: store.durable_position == store.position)
        host, _, port = node.addresses.replication.rpartition(":")
        for giver in (p.identity.node, b"x" * 16):
            grant = Grant(giver, store.database_id, store.durable_position, epoch)
            answer = await exchange(host, int(port), grant, seconds=ASK_SECONDS)
            assert isinstance(answer, Refuse) and "gave" in answer.reason
        assert node.standing.current is Standing.FOLLOWING and p.standing.current is Standing.PRIMARY


async def test_a_primary_that_is_pointed_at_itself_raises_no_alarm(tmp_path: Path) -> None:
    async with primary(tmp_path / "p") as node:
        await say(node, node.survey.introduce())
        assert node.status.document()["clash"] is None


async def test_an_alarm_ends_with_its_reason(tmp_path: Path) -> None:
    """Another primary of this epoch that follows now ends the alarm."""
    async with primary(tmp_path / "p") as node:
        assert node.store is not None
        other = replace(epoch_from(node, 1), standing="primary")
        await say(node, other)
        assert "is a primary in epoch 1 as well" in (node.status.document()["clash"] or "")
        await say(node, replace(other, standing="following"))
        assert node.status.document()["clash"] is None
