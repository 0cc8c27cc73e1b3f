"""A replica whose primary has another history: it says so, and does not show data that is nobody's."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.config import load_replica
from replicad.daemon.parts import NodeParts
from replicad.daemon.roles.promotion import STEP
from replicad.errors import RoleRefused
from replicad.replication.policy.agree import Code, has_diverged
from tests.support.nodes.programs import again, primary, replica_of, started, streams
from tests.support.waiting import until


@asynccontextmanager
async def other_history(directory: Path, writes: int = 2) -> AsyncIterator[NodeParts]:
    """A primary that lost its last write and wrote others instead, while its replica at "r", which has that
    write, was down."""
    async with primary(directory / "p") as p:
        async with replica_of(p, directory / "r") as r:
            await until(lambda: streams(r, b"p"))
        assert p.store is not None
        p.store.flush()
    shutil.copytree(directory / "p", directory / "earlier")
    async with again(directory / "p") as p:
        assert p.store is not None
        p.store.put(b"k", b"of both")
        async with replica_of(p, directory / "r") as r:
            await until(lambda: r.store is not None and r.store.get(b"k") == b"of both")
    shutil.rmtree(directory / "p")
    (directory / "earlier").rename(directory / "p")
    async with again(directory / "p") as p:
        assert p.store is not None
        for number in range(writes):
            p.store.put(b"k", b"another %d" % number)
        yield p


def replica(p: NodeParts, data: Path, **flags: Any) -> Any:
    config = load_replica(None, data=data, listen=":0", primary=p.addresses.replication, **flags)
    return started(config)


async def test_a_replica_of_another_history_refuses_reads(tmp_path: Path) -> None:
    """Through a restart in which it reaches nobody, and until it follows its history again."""
    async with other_history(tmp_path) as p, replica(p, tmp_path / "r") as r:
        r.tasks.spawn(r.verification.run())
        await until(lambda: r.served.reads_refused is not None)
        assert r.served.reads_refused is not None and r.served.reads_refused.startswith("DIVERGED")
        document = r.status.document()
        assert document["link"]["stopped_code"] == "diverged"
        assert document["verification"]["refuses_reads"] and "history" in document["verification"]["doubt"]
        await until(lambda: bool((found := r.records.state.view().verification) and found.diverged))
        await until(lambda: r.records.state.view().verification is not None)
    async with replica(p, tmp_path / "r") as r:
        assert r.served.reads_refused is not None


async def test_it_serves_where_that_is_configured(tmp_path: Path) -> None:
    """The status says what is wrong all the same."""
    async with (
        other_history(tmp_path) as p,
        replica(p, tmp_path / "r", verification__on_divergence="serve") as r,
    ):
        await until(lambda: r.status.document()["verification"]["doubt"] is not None)
        assert r.served.reads_refused is None


async def test_a_primary_that_is_behind_its_replica_has_another_history(tmp_path: Path) -> None:
    """It lost what it wrote; a replica that feeds replicas may be behind them for a while."""
    async with other_history(tmp_path, writes=0) as p, replica(p, tmp_path / "r") as r:
        await until(lambda: r.served.reads_refused is not None)
        assert r.status.document()["link"]["stopped_code"] == Code.REPLICA_AHEAD.value
    assert not has_diverged(Code.REPLICA_AHEAD.value, follows_primary=False)
    assert not has_diverged(Code.WRONG_DATABASE.value, follows_primary=True)
    assert not has_diverged(None, follows_primary=True)


async def test_a_replica_of_another_history_rejoins(tmp_path: Path) -> None:
    """What it has is saved where `replicad inspect` reads it, and named after a restart too; then it has what
    its primary has."""
    async with other_history(tmp_path) as p:
        async with replica(p, tmp_path / "r") as r:
            await until(lambda: r.served.reads_refused is not None)
            said = await r.following.rejoin(None, 0)
            assert said.startswith("saved: ")
            await until(lambda: streams(r, b"p") and r.served.reads_refused is None)
            assert r.store is not None and r.store.get(b"k") == b"another 1"
            discarded = r.status.document()["discarded"]
            assert discarded["batches"] >= 1
            assert any(b"of both" in Path(file).read_bytes() for file in discarded["files"])
        async with replica(p, tmp_path / "r") as r:
            assert r.status.document()["discarded"] == discarded


async def test_who_cannot_rejoin_stays_as_it_is(tmp_path: Path) -> None:
    """A primary, or where nobody answers, or where another database is."""
    async with primary(tmp_path / "p") as p, primary(tmp_path / "q") as q, replica_of(p, tmp_path / "r") as r:
        await until(lambda: streams(r, b"p"))
        for node, port, why in (
            (p, q.clients.address.port, "is a primary"),
            (r, 1, "nobody answers"),
            (r, q.clients.address.port, "another database"),
            (r, r.clients.address.port, "nobody answers"),
        ):
            with pytest.raises(RoleRefused, match=why):
                await node.following.rejoin("127.0.0.1", port)
        assert streams(r, b"p")


async def test_a_replica_that_would_discard_rejoins_where_it_may_not_follow(tmp_path: Path) -> None:
    """REPLICAOF refuses, since another was promoted without what it has; rejoin saves that."""
    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "a") as a,
        replica_of(p, tmp_path / "b") as b,
    ):
        await until(lambda: streams(a, b"p") and streams(b, b"p"))
        await b.link.stop()
        assert p.store is not None
        p.store.put(b"k", b"v")
        await until(lambda: a.store is not None and a.store.get(b"k") == b"v")
        await a.link.stop()
        await b.promotion.promote(force=True)
        with pytest.raises(RoleRefused, match="rejoin"):
            await a.following.follow(*b.clients.address)
        assert "saved: 1 batches" in await a.following.rejoin(*b.clients.address)
        await until(lambda: streams(a, b"p") and a.open_store.epoch > STEP)
        assert a.store is not None and a.store.get(b"k") is None
