"""A switchover whose time is over, that is given up, or that meets another change of role."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import replicad.daemon.roles.stepping_down
import replicad.daemon.roles.switchover
from replicad.daemon.roles.promotion import STEP
from replicad.errors import DiskFullError, RoleRefused
from replicad.net.addresses import Address
from replicad.net.doors import Door
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.introduction import exchange
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.nodes.role_changes import failing_once, feeds, given_to, spawned_by
from tests.support.waiting import until


async def test_a_grant_that_is_answered_after_a_promotion_by_force_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A switchover's time is over, the old primary is promoted again, and only then the target answers: the
    node stays primary, and remembers to be it."""
    sent, arrives = asyncio.Event(), asyncio.Event()

    async def late(host: str, port: int, message: Any, *, seconds: float, door: Door) -> Any:
        answer = await exchange(host, port, message, seconds=seconds, door=door)
        sent.set()
        await arrives.wait()
        return answer

    monkeypatch.setattr(replicad.daemon.roles.switchover, "exchange", late)
    async with primary(tmp_path / "a") as a, replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a"))
        target = await given_to(b, a)
        spawned = spawned_by(a, monkeypatch)
        a.tasks.spawn(a.switchover.deliver_grant(target))
        await sent.wait()
        assert b.standing.current is Standing.PRIMARY
        await a.promotion.promote(force=True)
        arrives.set()
        await until(lambda: all(task.done() for task in spawned))
        assert not a.tasks.failure.done()
        assert a.standing.current is Standing.PRIMARY
        assert a.memory.record is not None
        assert a.memory.record.role == "primary"


async def test_no_other_node_begins_an_epoch_that_was_given_away(tmp_path: Path) -> None:
    """Not without force; with it a later one, and then the grant does not count any more."""
    async with (
        primary(tmp_path / "a") as a,
        replica_of(a, tmp_path / "b") as b,
        replica_of(a, tmp_path / "x") as x,
    ):
        await until(lambda: streams(b, b"a") and streams(x, b"a"))
        target = await given_to(b, a)
        with pytest.raises(RoleRefused, match=f"given to {target}"):
            await x.promotion.promote(force=False)
        await x.promotion.promote(force=True)
        assert x.open_store.epoch > STEP
        await a.switchover.deliver_grant(target)
        assert b.standing.current is Standing.FOLLOWING
        assert a.memory.granted_epoch is None
        assert str(a.memory.primary) == x.addresses.replication
        await until(lambda: streams(a, b"a") and a.open_store.epoch > STEP)


async def test_the_target_of_a_grant_may_be_promoted_before_it_arrives(tmp_path: Path) -> None:
    """It begins an epoch not below the one that it was given: so the grant is answered when it comes."""
    async with primary(tmp_path / "a") as a, replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a"))
        target = await given_to(b, a)
        assert await b.promotion.promote(force=False) == ""
        await a.switchover.deliver_grant(target)
        await until(lambda: streams(a, b"a") and a.open_store.epoch == b.open_store.epoch > STEP)
        assert a.memory.granted_epoch is None


async def test_a_node_that_was_told_to_follow_another_does_not_turn_to_whom_it_gave_its_role(
    tmp_path: Path,
) -> None:
    """The late answer to a grant is noted, and that is all."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        followed = node.memory.primary
        await node.memory.save(node.open_store.epoch, granted_epoch=2)
        await node.switchover.given_away(2, Address("127.0.0.1", 1), Address("127.0.0.1", 1), "")
        assert node.memory.granted_epoch is None
        assert node.memory.primary == followed
        assert streams(node, b"p")


async def test_a_switchover_can_be_aborted_whoever_else_asked_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one that was refused, or an asker that went away, does not hide the one that is under way."""

    async def silent(host: str, port: int, message: Any, *, seconds: float, door: Door) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(replicad.daemon.roles.switchover, "exchange", silent)
    async with primary(tmp_path / "a") as a, replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a") and feeds(a))
        assert not a.switchover.cancel()
        first = asyncio.ensure_future(a.switchover.switch_over(None, timeout_seconds=60))
        await until(lambda: a.standing.current is Standing.PAUSED)
        with pytest.raises(RoleRefused, match="under way"):
            await a.switchover.switch_over(None, timeout_seconds=60)
        assert a.switchover.cancel()
        with pytest.raises(RoleRefused, match="cancelled"):
            await first
        second = asyncio.ensure_future(a.switchover.switch_over(None, timeout_seconds=60))
        await until(lambda: a.standing.current is Standing.PAUSED)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert a.switchover.cancel()
        await until(lambda: a.standing.current is Standing.PRIMARY)
        assert not a.switchover.cancel()


async def test_a_switchover_that_finds_no_room_goes_on_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role is given away, and the manifest cannot say so yet: writes do not wait for that, and the target
    takes over after it."""
    monkeypatch.setattr(replicad.daemon.roles.stepping_down, "RETRY_SECONDS", 0)
    async with primary(tmp_path / "a") as a, replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a") and feeds(a))
        store = a.store
        assert store is not None
        monkeypatch.setattr(store, "demote", failing_once(store.demote, DiskFullError("full")))
        refused: list[Standing] = []
        a.standing.subscribe(lambda: refused.append(a.standing.current))
        await a.switchover.switch_over(None, timeout_seconds=60)
        assert refused == [Standing.PAUSED, Standing.HANDING_OVER, Standing.FOLLOWING]
        assert b.standing.current is Standing.PRIMARY
        assert store.role == "replica"
        await until(lambda: streams(a, b"a"))
