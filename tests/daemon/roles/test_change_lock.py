"""A change of role runs to its end, and none begins in a node that stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from replicad.errors import RoleRefused
from tests.support.nodes.programs import primary
from tests.support.waiting import until


async def test_a_change_of_role_outlives_whoever_asked_for_it(tmp_path: Path) -> None:
    """A client that leaves in the middle of one does not leave the node between two standings."""
    async with primary(tmp_path / "a") as node:
        begun, goes_on = asyncio.Event(), asyncio.Event()
        steps: list[str] = []

        async def change() -> str:
            begun.set()
            await goes_on.wait()
            steps.append("done")
            return ""

        asker = asyncio.ensure_future(node.lock.run(change))
        await begun.wait()
        asker.cancel()
        await asyncio.gather(asker, return_exceptions=True)
        goes_on.set()
        await until(lambda: steps == ["done"])


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
