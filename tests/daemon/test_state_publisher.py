"""What a node shows of itself: nothing that a loss of power would take back."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.daemon.state_publisher import status_line
from replicad.state import Shown
from tests.support.nodes.programs import primary, replica_of, streams
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


@pytest.mark.parametrize(
    ("role", "position", "link", "lag", "lags", "line"),
    [
        ("primary", "1:5:ab", None, None, [], "primary at 1:5:ab"),
        ("primary", "1:5:ab", None, None, [2], "primary at 1:5:ab, 1 replica, at most 2.0 s behind"),
        ("primary", "1:5:ab", None, None, [0, 3], "primary at 1:5:ab, 2 replicas, at most 3.0 s behind"),
        ("replica", None, "bootstrap: 40 %", None, [], "replica at no data yet, bootstrap: 40 %"),
        ("replica", "1:5:ab", "streaming", 0.24, [], "replica at 1:5:ab, streaming, 0.2 s behind"),
    ],
)
def test_the_line_that_a_service_manager_shows(
    role: str, position: str | None, link: str | None, lag: float | None, lags: list[float], line: str
) -> None:
    """Role, position and lag."""
    shown = Shown(role=role, database_id=None, position=position, primary_address=None, link=link, at_us=0)
    assert status_line(shown, lag, lags) == line


async def test_a_node_tells_its_service_manager_of_its_replicas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a replica how far it is behind."""
    async with primary(tmp_path / "p") as node, replica_of(node, tmp_path / "r") as replica:
        await until(lambda: streams(replica, b"p"))
        assert ", 1 replica, at most 0" in node.publisher._line(node.publisher.state())
        await until(lambda: " s behind" in replica.publisher._line(replica.publisher.state()))
