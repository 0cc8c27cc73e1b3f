"""What every implementation of `Etcd` does. Each check takes one that answers, and keys of its own.

CHECKS = those that need no time
TIMED  = those that need a lease to end: `pass_time` lets that many seconds go by for etcd
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from replicad.errors import EtcdError
from replicad.etcd.calls import (
    Compare,
    Delete,
    Etcd,
    HasRevision,
    HasValue,
    IsAbsent,
    Operation,
    Pair,
    Put,
    Read,
    TxnOutcome,
)

PassTime = Callable[[float], Awaitable[None]]
Check = Callable[[Etcd], Awaitable[None]]
TimedCheck = Callable[[Etcd, PassTime], Awaitable[None]]

TTL_SECONDS = 2
CLAIMS = 20
ALL_BYTES = bytes(range(256))
WAIT_SECONDS = 30.0


async def found(etcd: Etcd, key: bytes) -> Pair | None:
    return next((pair for pair in await etcd.range(key) if pair.key == key), None)


async def put(etcd: Etcd, key: bytes, value: bytes, lease: int = 0) -> Pair:
    """The pair as it is afterwards."""
    assert (await etcd.txn([], [Put(key, value, lease)])).succeeded
    pair = await found(etcd, key)
    assert pair is not None
    return pair


# Keys and values.


async def a_value_is_what_was_put(etcd: Etcd) -> None:
    """Any bytes are a key or a value; an empty value is one."""
    for key, value in ((b"v/" + ALL_BYTES, ALL_BYTES), (b"v/empty", b""), (b"v/\0", b"\xff\xfe\0")):
        pair = await put(etcd, key, value)
        assert (pair.key, pair.value, pair.lease) == (key, value, 0)


async def a_revision_is_that_of_the_last_change(etcd: Etcd) -> None:
    """It grows with each put, of an equal value too, and with no put of another key."""
    first = await put(etcd, b"rev/a", b"1")
    second = await put(etcd, b"rev/a", b"1")
    await put(etcd, b"rev/b", b"1")
    assert second.revision > first.revision > 0
    assert await found(etcd, b"rev/a") == second


async def a_range_is_what_begins_so(etcd: Etcd) -> None:
    """In the order of the keys, and nothing of the neighbours before and after."""
    inside = [b"p/", b"p/\0", b"p/a", b"p/a/b", b"p/\xff", b"p/\xff\xff"]
    for key in [*reversed(inside), b"p", b"p.", b"p.\xff", b"p0", b"q"]:
        await put(etcd, key, b"x")
    assert [pair.key for pair in await etcd.range(b"p/")] == inside
    assert [pair.key for pair in await etcd.range(b"p/\xff")] == [b"p/\xff", b"p/\xff\xff"]
    assert await etcd.range(b"p/nothing") == ()


async def a_range_of_the_last_keys_has_an_end(etcd: Etcd) -> None:
    """Where no byte can be counted up the range goes to the end; an empty prefix is that of all keys."""
    for key in (b"\xff\xfe", b"\xff\xff", b"\xff\xff\xff"):
        await put(etcd, key, b"x")
    assert [pair.key for pair in await etcd.range(b"\xff\xff")] == [b"\xff\xff", b"\xff\xff\xff"]
    keys = [pair.key for pair in await etcd.range(b"")]
    assert keys == sorted(keys)
    assert keys[-3:] == [b"\xff\xfe", b"\xff\xff", b"\xff\xff\xff"]


# Transactions.


async def absence_is_compared(etcd: Etcd) -> None:
    key = b"absent/k"
    assert (await etcd.txn([IsAbsent(key)], [Put(key, b"1")])).succeeded
    assert not (await etcd.txn([IsAbsent(key)], [Put(key, b"2")])).succeeded
    assert (await etcd.txn([], [Delete(key)])).succeeded
    assert (await etcd.txn([IsAbsent(key)], [Put(key, b"3")])).succeeded
    pair = await found(etcd, key)
    assert pair is not None and pair.value == b"3"


async def a_revision_is_compared(etcd: Etcd) -> None:
    """Of what was read, and not of an equal value that was put later."""
    key = b"revision/k"
    old = await put(etcd, key, b"v")
    new = await put(etcd, key, b"v")
    assert not (await etcd.txn([HasRevision(key, old.revision)], [Delete(key)])).succeeded
    assert await found(etcd, key) == new
    assert (await etcd.txn([HasRevision(key, new.revision)], [Delete(key)])).succeeded
    assert await found(etcd, key) is None
    assert not (await etcd.txn([HasRevision(key, new.revision)], [Put(key, b"w")])).succeeded


async def a_value_is_compared(etcd: Etcd) -> None:
    """A key that is absent has no value, not even an empty one."""
    key = b"value/k"
    assert not (await etcd.txn([HasValue(key, b"")], [Put(key, b"1")])).succeeded
    await put(etcd, key, b"")
    assert (await etcd.txn([HasValue(key, b"")], [Put(key, ALL_BYTES)])).succeeded
    assert not (await etcd.txn([HasValue(key, b"")], [Put(key, b"1")])).succeeded
    assert (await etcd.txn([HasValue(key, ALL_BYTES)], [Put(key, b"2")])).succeeded


async def all_comparisons_have_to_hold(etcd: Etcd) -> None:
    """With one that does not the other branch is done, and nothing of the first."""
    held = await put(etcd, b"all/held", b"v")
    compares: list[Compare] = [
        HasValue(b"all/held", b"v"),
        IsAbsent(b"all/free"),
        HasRevision(b"all/held", held.revision),
    ]
    outcome = await etcd.txn([*compares, IsAbsent(b"all/held")], [Put(b"all/a", b"")], [Put(b"all/b", b"")])
    assert outcome == TxnOutcome(False)
    assert [pair.key for pair in await etcd.range(b"all/")] == [b"all/b", b"all/held"]
    assert (await etcd.txn(compares, [Put(b"all/a", b"")], [Delete(b"all/b")])).succeeded
    assert [pair.key for pair in await etcd.range(b"all/")] == [b"all/a", b"all/b", b"all/held"]


async def a_transaction_reads_what_it_wrote(etcd: Etcd) -> None:
    """Its reads are done in order with its writes, and their pairs come in that order."""
    old = await put(etcd, b"reads/b", b"old")
    then: list[Operation] = [
        Read(b"reads/"),
        Put(b"reads/a", b"new"),
        Delete(b"reads/b"),
        Read(b"reads/"),
        Read(b"reads/b"),
    ]
    outcome = await etcd.txn([], then)
    new = await found(etcd, b"reads/a")
    assert new is not None and new.value == b"new"
    assert outcome == TxnOutcome(True, (old, new))
    failed = await etcd.txn(
        [IsAbsent(b"reads/a")], [Put(b"reads/a", b"")], [Read(b"reads/x"), Read(b"reads/")]
    )
    assert failed == TxnOutcome(False, (new,))


async def one_of_many_claims_wins(etcd: Etcd) -> None:
    """Of transactions at the same time, that want a key which is absent, exactly one succeeds; the others are
    shown the winner."""

    async def claim(number: int) -> TxnOutcome:
        key, value = b"claim/leader", b"%d" % number
        return await etcd.txn([IsAbsent(key)], [Put(key, value)], [Read(key)])

    outcomes = await asyncio.gather(*(claim(number) for number in range(CLAIMS)))
    won = [number for number, outcome in enumerate(outcomes) if outcome.succeeded]
    assert len(won) == 1
    winner = await found(etcd, b"claim/leader")
    assert winner is not None and winner.value == b"%d" % won[0]
    assert all(outcome.pairs == (winner,) for outcome in outcomes if not outcome.succeeded)


# Leases.


async def a_revoked_lease_takes_its_keys_along(etcd: Etcd) -> None:
    """At once, and only those that were put with it last."""
    lease = await etcd.grant(60)
    assert lease.id > 0 and lease.ttl_seconds >= 60
    pair = await put(etcd, b"revoke/a", b"x", lease.id)
    assert pair.lease == lease.id
    await put(etcd, b"revoke/b", b"x", lease.id)
    await put(etcd, b"revoke/b", b"y")
    await etcd.revoke(lease.id)
    assert [pair.key for pair in await etcd.range(b"revoke/")] == [b"revoke/b"]
    assert (await etcd.keep_alive(lease.id)).ttl_seconds == 0


async def an_ended_lease_is_no_error_but_for_a_put(etcd: Etcd) -> None:
    """It is revoked again, kept alive with 0, and not put with: then nothing of the transaction is done."""
    lease = await etcd.grant(60)
    await etcd.revoke(lease.id)
    await etcd.revoke(lease.id)
    assert (await etcd.keep_alive(lease.id)).ttl_seconds == 0
    with pytest.raises(EtcdError):
        await etcd.txn([], [Put(b"ended/a", b"x"), Put(b"ended/b", b"x", lease.id)])
    assert await etcd.range(b"ended/") == ()


async def a_kept_lease_has_its_whole_time_again(etcd: Etcd) -> None:
    """Each answer counts from when its own request was sent."""
    granted = await etcd.grant(60)
    kept = await etcd.keep_alive(granted.id)
    assert (kept.id, kept.ttl_seconds) == (granted.id, granted.ttl_seconds)
    assert kept.sent_at >= granted.sent_at
    await etcd.revoke(granted.id)


async def leases_differ(etcd: Etcd) -> None:
    leases = await asyncio.gather(*(etcd.grant(60) for _ in range(5)))
    assert len({lease.id for lease in leases}) == 5
    for lease in leases:
        await etcd.revoke(lease.id)


async def a_lease_ends_by_itself(etcd: Etcd, pass_time: PassTime) -> None:
    """With its keys, some time after its last keep-alive; what it was is not found again."""
    lease = await etcd.grant(TTL_SECONDS)
    await put(etcd, b"end/a", b"x", lease.id)
    await until_ended(etcd, b"end/", pass_time)
    assert (await etcd.keep_alive(lease.id)).ttl_seconds == 0
    await etcd.revoke(lease.id)


async def a_lease_that_is_kept_alive_does_not_end(etcd: Etcd, pass_time: PassTime) -> None:
    """While another one, of the same length, that is not kept alive, does. It is asked for only where it was
    kept in time: this machine may have stood still."""
    loop = asyncio.get_running_loop()
    kept_at, kept = loop.time(), await etcd.grant(TTL_SECONDS)
    other = await etcd.grant(TTL_SECONDS)
    await put(etcd, b"kept/a", b"x", kept.id)
    await put(etcd, b"other/a", b"x", other.id)

    async def pass_and_keep(seconds: float) -> None:
        nonlocal kept_at
        await pass_time(seconds)
        asked_at, again = loop.time(), await etcd.keep_alive(kept.id)
        if loop.time() - kept_at >= kept.ttl_seconds:
            pytest.skip("this machine stood still for as long as the lease lasts")
        assert again.ttl_seconds == kept.ttl_seconds
        kept_at = asked_at

    await until_ended(etcd, b"other/", pass_and_keep)
    pairs = await etcd.range(b"kept/")
    if loop.time() - kept_at < kept.ttl_seconds:
        assert [pair.key for pair in pairs] == [b"kept/a"]
    await etcd.revoke(kept.id)


async def until_ended(etcd: Etcd, prefix: bytes, pass_time: PassTime) -> None:
    """Lets time pass until no key begins so."""
    passed = 0.0
    while await etcd.range(prefix):
        assert passed < WAIT_SECONDS, f"{prefix!r} is still there"
        await pass_time(0.1)
        passed += 0.1


CHECKS: tuple[Check, ...] = (
    a_value_is_what_was_put,
    a_revision_is_that_of_the_last_change,
    a_range_is_what_begins_so,
    a_range_of_the_last_keys_has_an_end,
    absence_is_compared,
    a_revision_is_compared,
    a_value_is_compared,
    all_comparisons_have_to_hold,
    a_transaction_reads_what_it_wrote,
    one_of_many_claims_wins,
    a_revoked_lease_takes_its_keys_along,
    an_ended_lease_is_no_error_but_for_a_put,
    a_kept_lease_has_its_whole_time_again,
    leases_differ,
)
TIMED: tuple[TimedCheck, ...] = (a_lease_ends_by_itself, a_lease_that_is_kept_alive_does_not_end)
