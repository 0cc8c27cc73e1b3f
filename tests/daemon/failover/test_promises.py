"""What a node promises: durable before it is said, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.daemon.failover.keys import Keys, leader_value
from replicad.errors import DiskFullError, RoleRefused
from replicad.etcd.calls import Put
from replicad.replication.policy.failover.cluster import Leader
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import Failsafe, Promise
from tests.support.nodes.cluster import TTL_SECONDS, Member, Nodes, cluster
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(60)


async def claim(nodes: Nodes, by: Member, epoch: int) -> Promise:
    """`by` claims the epoch, as far as etcd says."""
    store = by.node.store
    assert store is not None
    keys = Keys(store.database_id)
    leader = Leader(by.id, epoch, by.node.addresses.replication, "", begun=False)
    nodes.keys.txn([], [Put(keys.leader, leader_value(leader))], [])
    return Promise(by.node.identity.node, store.database_id, epoch)


async def test_a_promise_is_durable_and_the_old_stream_has_ended_before_it_is_said(tmp_path: Path) -> None:
    """The position that is told is all that this node ever acknowledged."""
    async with cluster(tmp_path) as nodes:
        await nodes.settle()
        _, two, three = nodes.members
        asked = await claim(nodes, three, 5)
        promised = await two.agent.promises.promise(asked)
        record = two.node.records.state.view().role
        assert record is not None
        assert (record.promised_epoch, record.promised_node) == (5, three.node.identity.node)
        assert two.node.link.follower is None
        assert two.node.store is not None and promised.position == two.node.store.durable_position


async def test_a_promise_that_cannot_be_written_is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else than the record makes a node keep it after a restart."""
    async with cluster(tmp_path) as nodes:
        await nodes.settle()
        _, two, three = nodes.members
        asked = await claim(nodes, three, 5)

        async def fails(record: object) -> None:
            assert two.node.link.follower is not None  # the record comes first
            raise DiskFullError("no room")

        with monkeypatch.context() as patched:
            patched.setattr(two.node.records, "put_role", fails)
            with pytest.raises(DiskFullError):
                await two.agent.promises.promise(asked)


async def test_an_epoch_is_promised_to_one_node_and_none_below_it(tmp_path: Path) -> None:
    """The same node may ask again: it may not have got the answer."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        asked = await claim(nodes, three, 5)
        first = await two.agent.promises.promise(asked)
        assert await two.agent.promises.promise(asked) == first
        for other in (await claim(nodes, one, 5), await claim(nodes, one, 4)):
            with pytest.raises(RoleRefused, match="has promised epoch 5"):
                await two.agent.promises.promise(other)
        await two.agent.promises.promise(await claim(nodes, one, 6))


async def test_a_promise_is_kept_against_the_old_primary(tmp_path: Path) -> None:
    """Also when somebody has it follow that one again: it streams nothing of a lower epoch."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        await two.agent.promises.promise(await claim(nodes, three, 5))
        two.node.link.start()
        follower = two.node.link.follower
        assert follower is not None
        await until(lambda: "has promised" in str(follower.link.last_error))
        feed = one.node.open_store.feed
        assert feed is not None
        session = feed.sessions.get(two.node.identity.node)
        assert session is None or session.sender is None


async def test_a_primary_that_promises_gives_its_role_up_at_once(tmp_path: Path) -> None:
    """It answers nothing any more, before it says how far it is."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await nodes.until(lambda: one.node.standing.current is Standing.PRIMARY)
        asked = await claim(nodes, nodes.members[1], 5)
        await one.agent.promises.promise(asked)
        assert one.node.standing.current is Standing.FENCED
        assert not one.node.served.is_writable


async def test_what_nobody_claimed_is_not_promised(tmp_path: Path) -> None:
    """etcd is asked; where it does not answer, a claim far ahead does not count."""
    async with cluster(tmp_path) as nodes:
        await nodes.settle()
        _, two, three = nodes.members
        asked = await claim(nodes, three, 5)
        with pytest.raises(RoleRefused, match="does not say"):
            await two.agent.promises.promise(Promise(asked.node, asked.database, 6))
        with pytest.raises(RoleRefused, match="not that database"):
            await two.agent.promises.promise(Promise(asked.node, bytes(16), 5))
        two.etcd.is_cut = True
        with pytest.raises(RoleRefused, match="nobody can have claimed"):
            await two.agent.promises.promise(Promise(asked.node, asked.database, 5000))
        await two.agent.promises.promise(asked)


async def test_a_node_that_was_started_holds_still(tmp_path: Path) -> None:
    """It may have told a leader shortly before that it follows."""
    async with cluster(tmp_path) as nodes:
        _, two, three = nodes.members
        asked = await claim(nodes, three, 5)
        with pytest.raises(RoleRefused, match="it was started"):
            await two.agent.promises.promise(asked)
        nodes.pass_time(TTL_SECONDS)
        await two.agent.promises.promise(asked)


async def test_who_says_that_it_follows_holds_still(tmp_path: Path) -> None:
    """For the time that the leader counts on, and not for longer than a lease can be."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        store = one.node.store
        assert store is not None
        question = Failsafe(one.node.identity.node, store.database_id, 1, TTL_SECONDS * 1000)
        assert two.agent.promises.follows(question).epoch == 1
        asked = await claim(nodes, three, 5)
        nodes.pass_time(TTL_SECONDS - 0.1)
        with pytest.raises(RoleRefused, match=r"it holds still for another 0\.1 s"):
            await two.agent.promises.promise(asked)
        assert "it holds still" in str(two.agent.promises.holds_still)
        nodes.pass_time(0.2)
        await two.agent.promises.promise(asked)
        longer = Failsafe(one.node.identity.node, store.database_id, 1, TTL_SECONDS * 1000 + 1)
        with pytest.raises(RoleRefused, match=r"ttl_seconds is 5\.001 there, and 5 here"):
            three.agent.promises.follows(longer)
        with pytest.raises(RoleRefused, match="reached, epoch 1"):
            three.agent.promises.follows(Failsafe(one.node.identity.node, store.database_id, 0, 1000))


async def test_who_does_not_follow_does_not_say_so(tmp_path: Path) -> None:
    """Another primary, a higher promise, a link that has ended, a claim of its own."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        store = one.node.store
        assert store is not None
        me = one.node.identity.node
        promises = two.agent.promises
        with pytest.raises(RoleRefused, match="another one"):
            promises.follows(Failsafe(three.node.identity.node, store.database_id, 1, 1000))
        promises.is_claiming = True
        with pytest.raises(RoleRefused, match="follows nobody"):
            promises.follows(Failsafe(me, store.database_id, 1, 1000))
        promises.is_claiming = False
        await promises.record(5, three.node.identity.node)
        with pytest.raises(RoleRefused, match="has promised, or reached, epoch 5"):
            promises.follows(Failsafe(me, store.database_id, 1, 1000))
        await two.node.link.stop()
        with pytest.raises(RoleRefused, match="follows nobody"):
            promises.follows(Failsafe(me, store.database_id, 1, 1000))


async def test_a_node_that_has_not_applied_what_it_received_promises_nothing(tmp_path: Path) -> None:
    """It may have acknowledged that, and no candidate could fetch it: a failover waits for an operator."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        apply, feed, store = three.node.data.delay.apply, one.node.open_store.feed, one.node.store
        assert apply is not None and feed is not None and store is not None
        await apply.pause(None)
        await two.node.link.stop()
        store.put(b"k", b"v")
        await until(lambda: store.durable_sequence == 1 and feed.waits.holders("durable", 1))
        await nodes.end(one)
        asked = await claim(nodes, two, 5)
        with pytest.raises(RoleRefused, match="received through"):
            await three.agent.promises.promise(asked)
        await apply.resume()
        await until(lambda: not apply.is_waiting)
        assert (await three.agent.promises.promise(asked)).position.sequence == 1


async def test_a_replica_that_is_paused_counts_no_more_where_others_are_enough(tmp_path: Path) -> None:
    """A failover need not wait for it then; it counts again once it goes on."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        apply = three.node.data.delay.apply
        assert apply is not None

        def counts(*expected: Member) -> bool:
            rule = one.cluster.rule
            return rule is not None and rule.replicas == {member.id for member in expected}

        await apply.pause(None)
        await nodes.until(lambda: counts(two))
        await apply.resume()
        await nodes.until(lambda: counts(two, three))
