"""A promotion asks all nodes that are known, and remembers what primaries acknowledged."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.daemon.roles.node_link import high_watermark_in
from replicad.daemon.roles.promotion import STEP
from replicad.errors import RoleRefused
from replicad.net.addresses import Address
from replicad.replication.policy.roles import HighWatermark, Standing, SurveyResult
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.waiting import until


async def test_a_replica_of_replicas_is_promoted_when_the_primary_of_all_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not while it lives, however many are between; then without force. It knows only the next node, and
    finds the others through that one."""
    above = primary(tmp_path / "p")
    p = await above.__aenter__()
    async with (
        replica_of(p, tmp_path / "a") as a,
        replica_of(a, tmp_path / "b") as b,
        replica_of(b, tmp_path / "c") as c,
    ):
        await until(lambda: streams(c, b"p"))
        monkeypatch.setattr(c.peers, "addresses", lambda: set())
        with pytest.raises(RoleRefused, match="its primary answers"):
            await c.promotion.promote(force=False)
        await above.__aexit__(None, None, None)
        assert await c.promotion.promote(force=False) == ""
        assert c.standing.current is Standing.PRIMARY


async def test_a_replica_whose_upstream_is_gone_knows_the_primary_above_it(tmp_path: Path) -> None:
    """It has met that one while it could."""
    async with primary(tmp_path / "p") as p:
        between = replica_of(p, tmp_path / "a")
        a = await between.__aenter__()
        async with replica_of(a, tmp_path / "b") as b:
            await until(lambda: streams(b, b"p") and b.peers.get(p.identity.node) is not None)
            await between.__aexit__(None, None, None)
            with pytest.raises(RoleRefused, match="its primary answers"):
                await b.promotion.promote(force=False)


async def test_a_replica_is_not_promoted_while_a_primary_that_it_knows_answers(tmp_path: Path) -> None:
    """Also when that is not where this node looks for it."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        node.memory.primary = Address("127.0.0.1", 1)
        with pytest.raises(RoleRefused, match="its primary answers"):
            await node.promotion.promote(force=False)


async def test_what_was_lost_with_an_epoch_is_no_reason_against_later_promotions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the primary of a lower epoch acknowledged counts until a higher one is followed, through restarts;
    then what that one acknowledged does."""

    async def nobody_answers() -> SurveyResult:
        return SurveyResult()

    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "b") as b,
        replica_of(p, tmp_path / "r") as node,
    ):
        await until(lambda: streams(b, b"p") and streams(node, b"p"))
        monkeypatch.setattr(node.survey, "before_promotion", nobody_answers)
        node.link.high_watermark = HighWatermark(1, 1000)
        with pytest.raises(RoleRefused, match="to 1000"):
            await node.promotion.promote(force=False)
        await node.link.note_progress()
        assert node.memory.record is not None
        assert high_watermark_in(node.memory.record) == HighWatermark(1, 1000)
        await b.promotion.promote(force=True)
        await node.following.follow("127.0.0.1", b.clients.address.port)
        await until(lambda: streams(node, b"p") and node.open_store.epoch > STEP)
        await node.link.note_progress()
        assert b.store is not None
        assert high_watermark_in(node.memory.record) == HighWatermark(
            node.open_store.epoch, b.store.durable_sequence
        )
        assert await node.promotion.promote(force=False) == ""
        assert high_watermark_in(node.memory.record) is None
