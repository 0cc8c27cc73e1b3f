"""Changes of role that meet each other: what was begun before another change does not undo that one."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import replicad.daemon.roles.stepping_down
import replicad.daemon.roles.switchover
import replicad.daemon.roles.takeover
from replicad.daemon.addresses import Address, address_of
from replicad.daemon.parts import NodeParts
from replicad.daemon.program import NodeProgram
from replicad.daemon.roles.node_link import NodeLink, told_in
from replicad.errors import ConfigError, DiskFullError, RoleRefused, StoreError
from replicad.replication.policy.roles import Around, Standing, Told
from replicad.replication.wire.messages import Grant
from replicad.state import RoleRecord
from replicad.types import Epoch, EpochRecord, Sequence
from tests.support.programs import again, primary, replica_of, streams, until


def feeds(node: NodeParts) -> bool:
    feed = node.open_store.feed
    return feed is not None and any(session.sender is not None for session in feed.sessions.values())


def failing_once(function: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """The function, which raises the error the first time."""
    errors = [error]

    def failing(*arguments: Any, **named: Any) -> Any:
        if errors:
            raise errors.pop()
        return function(*arguments, **named)

    return failing


def spawned_by(node: NodeParts, monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Task[Any]]:
    """What the node does beside, from now on."""
    spawned: list[asyncio.Task[Any]] = []
    spawn = node.tasks.spawn

    def spawning(job: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        spawned.append(spawn(job))
        return spawned[-1]

    monkeypatch.setattr(node.tasks, "spawn", spawning)
    return spawned


async def given_to(target: NodeParts, node: NodeParts) -> Address:
    """A switchover's time is over after the role was given away: the target has not heard of it yet."""
    address = address_of(target.addresses.replication)
    assert address is not None
    node.standing.move(Standing.PAUSED)
    await node.switchover.give_away(address, "", 2)
    node.switchover.refuse_writes()
    return address


async def test_a_grant_that_is_answered_after_a_promotion_by_force_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A switchover's time is over, the old primary is promoted again, and only then the target answers: the
    node stays primary, and remembers to be it."""
    exchange = replicad.daemon.roles.switchover.exchange
    sent, arrives = asyncio.Event(), asyncio.Event()

    async def late(host: str, port: int, message: Any, *, seconds: float) -> Any:
        answer = await exchange(host, port, message, seconds=seconds)
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
    """Not without force; with it a later one, and then the grant is no matter any more."""
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
        assert x.open_store.epoch == 3
        await a.switchover.deliver_grant(target)
        assert b.standing.current is Standing.FOLLOWING
        assert a.memory.granted_epoch is None
        assert str(a.memory.primary) == x.addresses.replication
        await until(lambda: streams(a, b"a") and a.open_store.epoch == 3)


async def test_the_target_of_a_grant_may_be_promoted_before_it_arrives(tmp_path: Path) -> None:
    """It begins the epoch that it was given: that is how the grant is answered when it comes."""
    async with primary(tmp_path / "a") as a, replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a"))
        target = await given_to(b, a)
        assert await b.promotion.promote(force=False) == ""
        await a.switchover.deliver_grant(target)
        await until(lambda: streams(a, b"a") and (a.open_store.epoch, b.open_store.epoch) == (2, 2))
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


async def test_a_target_that_moved_on_does_not_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was at the granted position, and has followed further when its turn comes: it follows on."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        assert p.store is not None
        store = node.store
        assert store is not None
        position = store.durable_position

        async def until_at(*_: Any) -> bool:
            assert p.store is not None
            p.store.put(b"one", b"more")
            await until(lambda: store.durable_sequence > position.sequence)
            return True

        monkeypatch.setattr(replicad.daemon.roles.takeover, "_until_at", until_at)
        with pytest.raises(RoleRefused, match="any more"):
            await node.takeover.take_over(Grant(p.identity.node, p.store.database_id, position, 2))
        assert node.standing.current is Standing.FOLLOWING
        await until(lambda: streams(node, b"p"))


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


async def test_a_switchover_can_be_aborted_whoever_else_asked_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one that was refused, or an asker that went away, does not hide the one that is under way."""

    async def silent(host: str, port: int, message: Any, *, seconds: float) -> Any:
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


async def test_a_node_that_stops_begins_no_change_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients may still ask when those under way have been ended; the store is closed next."""
    asked: list[str] = []
    async with primary(tmp_path / "a") as node:
        close = node.data.close

        async def asked_meanwhile() -> None:
            with pytest.raises(RoleRefused, match="stopping"):
                await node.switchover.switch_over(None, timeout_seconds=60)
            asked.append("refused")
            await close()

        monkeypatch.setattr(node.data, "close", asked_meanwhile)
    assert asked == ["refused"]


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


async def test_a_fenced_primary_whose_record_cannot_be_written_steps_down_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the state complains of, and the store after it: the node does not stay an owner that is no
    primary."""
    monkeypatch.setattr(replicad.daemon.roles.stepping_down, "RETRY_SECONDS", 0)
    async with primary(tmp_path / "a") as a, replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a"))
        store = a.store
        assert store is not None
        put_role = a.records.put_role
        monkeypatch.setattr(a.records, "put_role", failing_once(put_role, StoreError("MDB_READERS_FULL")))
        monkeypatch.setattr(store, "demote", failing_once(store.demote, OSError("too many open files")))
        await b.promotion.promote(force=True)
        a.survey.heard(b.survey.introduce())
        await until(lambda: store.role == "replica" and streams(a, b"a") and a.open_store.epoch == 2)
        assert a.memory.record is not None and a.memory.record.role == "replica"


async def test_a_fenced_node_whose_data_was_removed_asks_for_a_primary(tmp_path: Path) -> None:
    """It never heard who fenced it: it says what its operator can do, and leaves everything as it is."""
    data = tmp_path / "a"
    async with primary(data) as node:
        node.fencing.fence(7)
        store = node.store
        assert store is not None
        await until(lambda: store.role == "replica")
    for path in data.iterdir():
        if path.name != "state":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = sorted(data.iterdir())
    with pytest.raises(ConfigError, match="--primary"):
        async with again(data):
            pass
    assert sorted(data.iterdir()) == before
    async with primary(tmp_path / "p") as p, replica_of(p, data) as back:
        await until(lambda: streams(back, b"p"))


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
        await until(lambda: streams(node, b"p") and node.open_store.epoch == 2)
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


async def test_a_replica_of_replicas_is_promoted_when_the_primary_of_all_is_dead(tmp_path: Path) -> None:
    """Not while it lives, however many are between; then without force."""
    above = primary(tmp_path / "p")
    p = await above.__aenter__()
    async with (
        replica_of(p, tmp_path / "a") as a,
        replica_of(a, tmp_path / "b") as b,
        replica_of(b, tmp_path / "c") as c,
    ):
        await until(lambda: streams(c, b"p"))
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

    async def nobody_answers() -> Around:
        return Around()

    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "b") as b,
        replica_of(p, tmp_path / "r") as node,
    ):
        await until(lambda: streams(b, b"p") and streams(node, b"p"))
        monkeypatch.setattr(node.survey, "before_promotion", nobody_answers)
        node.link.told = Told(1, 1000)
        with pytest.raises(RoleRefused, match="to 1000"):
            await node.promotion.promote(force=False)
        await node.link.note_progress()
        assert node.memory.record is not None
        assert told_in(node.memory.record) == Told(1, 1000)
        await b.promotion.promote(force=True)
        await node.following.follow("127.0.0.1", b.clients.address.port)
        await until(lambda: streams(node, b"p") and node.open_store.epoch == 2)
        await node.link.note_progress()
        assert b.store is not None
        assert told_in(node.memory.record) == Told(2, b.store.durable_sequence)
        assert await node.promotion.promote(force=False) == ""
        assert told_in(node.memory.record) is None


def test_what_was_told_before_epochs_were_noted() -> None:
    """A record of then says it of the epoch in which it was written."""
    assert told_in(RoleRecord(role="replica", epoch=3, primary_sequence=7)) == Told(3, 7)
    assert told_in(RoleRecord(role="replica", epoch=3, primary_sequence=7, primary_epoch=2)) == Told(2, 7)
    assert told_in(RoleRecord(role="replica", epoch=3)) is None


async def test_what_a_node_hears_while_it_starts_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary that comes back is fenced before it has written down as what it starts: it follows, over one
    link, and remembers that."""
    before = primary(tmp_path / "a")
    a = await before.__aenter__()
    async with replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a"))
        await before.__aexit__(None, None, None)
        await b.promotion.promote(force=True)
        there = b.addresses.replication, str(b.clients.address)
        listen, start = NodeProgram._listen_for_replicas, NodeLink.start
        links: list[NodeLink] = []

        async def fenced_meanwhile(program: NodeProgram) -> Any:
            program.parts.fencing.fence(2, there)
            for _ in range(20):
                await asyncio.sleep(0)
            return await listen(program)

        def counted(link: NodeLink) -> None:
            links.append(link)
            start(link)

        monkeypatch.setattr(NodeProgram, "_listen_for_replicas", fenced_meanwhile)
        monkeypatch.setattr(NodeLink, "start", counted)
        async with again(tmp_path / "a") as back:
            await until(lambda: streams(back, b"a"))
            assert back.standing.current is Standing.FOLLOWING
            record = back.memory.record
            assert record is not None and (record.role, record.primary) == ("replica", there[0])
            assert len(links) == 1


async def test_a_grant_that_comes_again_was_taken(tmp_path: Path) -> None:
    """Its giver did not get the answer: the target is past that position, in the epoch of the grant."""
    async with primary(tmp_path / "a") as node:
        assert node.store is not None
        newest = node.store.durable_position
        earlier = replace(newest, sequence=Sequence(newest.sequence - 1))
        await node.takeover.take_over(Grant(b"o" * 16, node.store.database_id, earlier, newest.epoch))
        assert node.standing.current is Standing.PRIMARY
        assert node.store.durable_position == newest
