"""A node that is told to follow another, or that finds a primary to follow."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from replicad.daemon.parts import NodeParts
from replicad.daemon.roles.promotion import STEP
from replicad.errors import DiskFullError, RoleRefused
from replicad.net.addresses import Address
from replicad.replication.policy.agree import History
from replicad.replication.policy.roles import Standing
from replicad.types import Epoch, EpochRecord, Position
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.nodes.role_changes import failing_once, spawned_by
from tests.support.waiting import until


async def test_a_promotion_goes_before_a_primary_that_was_found_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom to follow is looked at again when the turn comes."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        spawned = spawned_by(node, monkeypatch)
        promoted = asyncio.ensure_future(node.promotion.promote(force=True))
        node.following.turn_to(Address("127.0.0.1", 1), "")
        await promoted
        await until(lambda: all(task.done() for task in spawned))
        assert not node.tasks.failure.done()
        assert node.standing.current is Standing.PRIMARY


@pytest.mark.parametrize("host", ["a..b", "x" * 80, "\0", "example.org", "192.0.2.1", "[::1]", "a b"])
async def test_an_address_that_is_none_to_follow_is_refused(tmp_path: Path, host: str) -> None:
    """What a client mistypes is told to the client, and goes no further."""
    async with primary(tmp_path / "p") as node:
        with pytest.raises(RoleRefused, match=r"loopback|HOST:PORT"):
            await node.following.follow(host, 6379)
        with pytest.raises(RoleRefused, match="HOST:PORT"):
            await node.following.follow("127.0.0.1", 99999)
        with pytest.raises(RoleRefused, match="nobody answers"):
            await node.following.follow("", 0)
        assert not node.tasks.failure.done()
        assert node.standing.current is Standing.PRIMARY


async def test_a_replica_whose_record_cannot_be_written_follows_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ended the old link: whom it follows instead it writes down with the next record."""
    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "b") as b,
        replica_of(p, tmp_path / "r") as node,
    ):
        await until(lambda: streams(b, b"p") and streams(node, b"p"))
        await b.promotion.promote(force=True)
        failing = failing_once(node.records.put_role, DiskFullError("full"))
        monkeypatch.setattr(node.records, "put_role", failing)
        await node.following.follow("127.0.0.1", b.clients.address.port)
        await until(lambda: streams(node, b"p") and node.open_store.epoch > STEP)
        await node.link.note_progress()
        written = node.records.state.view().role
        assert written is not None and written.primary == b.addresses.replication


async def test_a_replica_without_a_link_follows_whom_it_followed_before(tmp_path: Path) -> None:
    """That node is the primary of a higher epoch now, and this one has lost its link."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        await node.link.stop()
        said = p.survey.introduce()
        assert said.position is not None
        position = replace(said.position, epoch=Epoch(2))
        epochs = (EpochRecord(Epoch(2), b"e" * 16, said.position),)
        node.survey.heard(replace(said, position=position, epochs=epochs))
        await until(lambda: streams(node, b"p"))


async def test_a_rejoin_saves_what_waits_although_the_store_has_no_log(tmp_path: Path) -> None:
    """A delayed replica that began with a copy has applied nothing since: what it acknowledged only waits."""
    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "r", link__apply_delay_seconds=3600.0) as node,
    ):
        await until(lambda: streams(node, b"p"))
        assert p.store is not None and node.store is not None and node.store.log_start is None
        p.store.put(b"late", b"1")
        await until(lambda: waits(node) and p.store is not None and p.store.position == received(node))
        # Its primary has all of it; a node that has not is one that it was promoted over.
        store = node.store
        behind = History(store.database_id, store.position, store.epochs)
        assert "saved: 1 batches" in await node.following._save_tail(behind)
        assert node.data.discarded.batches == 1
        assert "nothing was here but tables" in await node.following.rejoin(None, 0)
        await until(lambda: node.store is not None and node.store.get(b"late") == b"1")


def waits(node: NodeParts) -> bool:
    apply = node.data.delay.apply
    return apply is not None and apply.is_waiting


def received(node: NodeParts) -> Position | None:
    apply = node.data.delay.apply
    return None if apply is None else apply.position
