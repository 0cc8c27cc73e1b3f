"""How old replicas are told that their data is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.waiting import until


async def test_acknowledged_writes_that_are_not_durable_make_replicas_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under "async" no heartbeat to a replica that wants durable data says that nothing is after the durable
    position while something is."""
    async with (
        primary(tmp_path / "a", store__durability="async") as node,
        replica_of(node, tmp_path / "r", link__ship="durable") as r,
    ):
        await until(lambda: streams(r, b"a"))
        store, feed = node.store, node.open_store.feed
        assert store is not None and feed is not None
        await until(lambda: len(feed.sessions) == 1)
        (session,) = feed.sessions.values()
        await until(lambda: session.echo.beat().age_us == 0)
        with monkeypatch.context() as held:
            held.setattr(type(store), "durable_sequence", store.durable_sequence)
            store.put(b"k", b"v")
            assert session.echo.beat().age_us
        await until(lambda: session.echo.beat().age_us == 0)
