"""A pause of a replica while its data or its role changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.parts import NodeParts
from replicad.daemon.roles.node_link import NodeLink
from replicad.errors import InvalidArgument, LinkStoppedError, RoleRefused
from replicad.replication.copy.fetch import Fetcher
from replicad.replication.policy.roles import Standing, SurveyResult
from replicad.replication.replica.link_state import LinkState
from tests.daemon.test_exchange import Gate
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.waiting import until


async def pause(node: NodeParts) -> int:
    said: dict[str, Any] = await node.served.pause_replica(sequence=None, time_us=None)
    return int(said["sequence"])


def has_received(node: NodeParts, primary: NodeParts) -> bool:
    apply, store = node.data.delay.apply, primary.store
    return apply is not None and store is not None and apply.position == store.position


async def test_a_pause_ends_a_copy_that_is_being_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing later than the pause is put in place, and data that was not doubted is not doubted after it."""
    fetching = asyncio.Event()

    async def never_ends(fetcher: Fetcher) -> Any:
        fetching.set()
        await asyncio.Event().wait()

    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        monkeypatch.setattr(Fetcher, "run", never_ends)
        node.verification.order_repair("for a test")
        async with asyncio.timeout(20):
            await fetching.wait()
        assert node.verification.record.doubt is not None
        stands_at = await pause(node)

        def stopped() -> bool:
            link = node.link.follower
            return link is not None and link.link.state is LinkState.STOPPED

        await until(stopped)
        assert node.store is not None and node.store.position.sequence == stands_at
        assert node.verification.record.doubt is None
        assert await node.served.resume_replica()


async def test_a_copy_is_not_put_in_place_after_a_pause(tmp_path: Path) -> None:
    """Although it was fetched whole; what was fetched stays for later."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        store, staging = node.store, tmp_path / "staging"
        staging.mkdir()
        await pause(node)
        with pytest.raises(LinkStoppedError, match="paused"):
            await node.data.install(staging)
        assert node.store is store and staging.exists()


async def test_no_pause_is_answered_while_the_data_is_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes out of the exchange may be beyond it."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        gate = Gate(monkeypatch)
        node.verification.order_repair("for a test")
        await gate.until_reached()
        with pytest.raises(InvalidArgument, match="exchanged"):
            await pause(node)
        gate.open()
        await until(lambda: streams(node, b"p"))
        await pause(node)


async def test_no_pause_is_answered_while_a_promotion_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be forgotten, or discard what nobody gave up."""
    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "r", link__apply_delay_seconds=3600.0) as node,
    ):
        await until(lambda: streams(node, b"p"))
        assert p.store is not None
        p.store.put(b"late", b"1")
        await until(lambda: has_received(node, p))
        stop, refused = node.link.stop, []

        async def stop_and_pause() -> None:
            await stop()
            for order in (pause(node), node.served.resume_replica()):
                with pytest.raises(InvalidArgument, match="a promotion") as error:
                    await order
                refused.append(error)

        monkeypatch.setattr(node.link, "stop", stop_and_pause)
        await node.promotion.promote(force=True)
        assert len(refused) == 2 and node.standing.current is Standing.PRIMARY
        assert node.store is not None and node.store.get(b"late") == b"1"


async def test_a_paused_replica_fetches_nothing_again(tmp_path: Path) -> None:
    """The order is refused, and the data is as sound as before."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        await pause(node)
        with pytest.raises(InvalidArgument, match="paused"):
            node.verification.order_repair("for a test")
        assert node.verification.record.doubt is None and streams(node, b"p")


async def test_a_forced_promotion_names_all_that_was_received(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a restart that left an older mark of the primary on record."""

    async def nobody_answers() -> SurveyResult:
        return SurveyResult()

    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        at = await pause(node)
        assert p.store is not None
        for number in range(5):
            p.store.put(b"late", b"%d" % number)
        await until(lambda: has_received(node, p))
        monkeypatch.setattr(node.survey, "before_promotion", nobody_answers)
        monkeypatch.setattr(NodeLink, "highest_watermark", property(lambda _: None))
        lost = await node.promotion.promote(force=True)
        assert f"sequence numbers {at + 1} to {at + 5}" in lost and "discarded" in lost


async def test_a_promotion_goes_on_with_what_is_readable_by_force_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte of what waits is damaged: what is lost with it is named."""

    async def nobody_answers() -> SurveyResult:
        return SurveyResult()

    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "r", link__apply_delay_seconds=3600.0) as node,
    ):
        await until(lambda: streams(node, b"p"))
        at = await pause(node)
        assert p.store is not None
        for number in range(4):
            p.store.put(b"%d" % number, b"late")
        await until(lambda: has_received(node, p))
        apply = node.data.delay.apply
        assert apply is not None
        await until(lambda: apply.durable_position == apply.position)
        (path,) = (tmp_path / "r" / "received").iterdir()
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(bytes(data))
        monkeypatch.setattr(node.survey, "before_promotion", nobody_answers)
        with pytest.raises(RoleRefused, match="paused"):
            await node.promotion.promote(force=False)
        lost = await node.promotion.promote(force=True)
        assert f"sequence numbers {at + 1} to {at + 4}" in lost and "quarantine" in lost
        assert node.data.discarded.batches == 3
