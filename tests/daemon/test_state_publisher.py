"""What a node shows of itself: nothing that a loss of power would take back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.nodes.programs import primary
from tests.support.waiting import until


async def test_a_node_shows_its_durable_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program's record of itself, which others read while it is down, never runs ahead of the disk."""
    async with primary(tmp_path / "a", store__durability="async") as node:
        store = node.store
        assert store is not None
        await until(lambda: store.durable_position == store.position)
        durable = store.durable_position
        monkeypatch.setattr(type(store), "durable_position", durable)
        store.put(b"k", b"v")
        assert store.position != durable
        assert node.publisher.state().position == str(durable)
