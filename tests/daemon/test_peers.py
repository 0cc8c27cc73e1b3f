"""Other nodes that are asked who they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replicad.daemon.peers import address_of
from replicad.replication.roles import Standing
from tests.support.programs import primary, replica_of, streams, until


async def test_a_standing_that_nobody_here_knows_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node of a later version may be what this one never heard of: that ends neither this one nor its
    doubts, as if nobody had answered."""
    async with (
        primary(tmp_path / "p", roles__ask_seconds=0.2) as node,
        replica_of(node, tmp_path / "r") as other,
    ):
        await until(lambda: streams(other, b"p"))
        address, introduce = address_of(other.listening["replication"]), other.certainty.introduce
        assert address is not None
        assert len(await node.peers.ask_all({address}, 20)) == 1
        monkeypatch.setattr(other.certainty, "introduce", lambda: replace(introduce(), standing="witness"))
        assert await node.peers.ask_all({address}, 20) == []
        node.roles.doubt()
        await node.certainty.find("a test asks")
        assert node.standing is Standing.PRIMARY
