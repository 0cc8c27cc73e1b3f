"""Other nodes that are asked who they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import replicad.daemon.roles.peers
from replicad.daemon.roles.peers import PEERS_MAX
from replicad.net.addresses import address_of
from replicad.replication.policy.roles import Standing
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.waiting import until


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
        address, introduce = address_of(other.addresses.replication), other.survey.introduce
        assert address is not None
        assert len(await node.peers.ask_all({address}, 20)) == 1
        monkeypatch.setattr(other.survey, "introduce", lambda: replace(introduce(), standing="witness"))
        assert await node.peers.ask_all({address}, 20) == []
        node.standing.doubt()
        await node.pauses.confirm_role("a test asks")
        assert node.standing.current is Standing.PRIMARY


SOMEBODY = b"x" * 16


async def test_who_only_says_who_he_is_takes_no_proven_nodes_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by an invented id at a node's address, nor by a node's id at an invented address, nor by being
    many; he is forgotten when nobody answers there."""
    async with primary(tmp_path / "p") as node, replica_of(node, tmp_path / "r") as other:
        id, address = other.identity.node, other.addresses.replication
        await until(lambda: streams(other, b"p") and bool(node.peers.entries()))
        node.peers.remember(SOMEBODY, address, "")
        node.peers.remember(id, "127.0.0.1:1", "")
        for number in range(2 * PEERS_MAX):
            node.peers.remember(b"%016d" % number, f"127.0.0.1:{number + 1}", "")
        assert len(node.peers) == PEERS_MAX
        assert [(entry.node, entry.replication) for entry in node.peers.entries()] == [(id, address)]
        monkeypatch.setattr(replicad.daemon.roles.peers, "UNPROVEN_SECONDS", -1)
        node.peers.review({id})
        assert [peer.node_id for peer in node.peers] == [id]
        for number in range(PEERS_MAX):
            node.peers.remember_proven(b"%016d" % number, f"127.0.0.1:{number + 1}", "")
        node.peers.remember(SOMEBODY, "127.0.0.1:100", "")
        assert node.peers.get(SOMEBODY) is None


async def test_a_node_that_nobody_hears_of_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the time counts in which this node ran; while it is connected none does."""
    async with primary(tmp_path / "p", link__slot_idle_seconds_max=15.0) as node:
        node.peers.remember_proven(SOMEBODY, "127.0.0.1:1", "")
        monkeypatch.setattr(replicad.daemon.roles.peers, "AWAY_STEP_SECONDS", 10)
        for present, away in ((set(), 10), ({SOMEBODY}, 0), (set(), 10)):
            node.peers._counted_from -= 10
            node.peers.review(present)
            (peer,) = node.peers
            assert peer.away_seconds == away
        node.peers._counted_from -= 10
        node.peers.review(set())
        assert not len(node.peers)


async def test_a_node_of_another_database_is_not_remembered(tmp_path: Path) -> None:
    """Whether it says so itself or is asked; one that was known, and was made anew since, is forgotten."""
    async with primary(tmp_path / "p") as node, primary(tmp_path / "q") as stranger:
        address = address_of(stranger.addresses.replication)
        assert address is not None
        node.peers.remember_proven(stranger.identity.node, str(address), "")
        node.survey.heard_unasked(stranger.survey.introduce())
        assert not len(node.peers)
        node.peers.remember_proven(stranger.identity.node, str(address), "")
        assert len(await node.peers.ask_all({address}, 20)) == 1
        assert not len(node.peers)
