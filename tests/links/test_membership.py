"""Links of the configuration, sources with several nodes, members that go and members that were silent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.links.sites import Sites
from tests.support.waiting import eventually


def members(sites: Sites, number: int) -> set[str]:
    return {row["database"] for row in json.loads(sites.nodes[number].ask("REPLICAD.LINK", "MEMBERS"))}


def own(sites: Sites, number: int) -> str:
    rows = json.loads(sites.nodes[number].ask("REPLICAD.LINK", "MEMBERS"))
    return next(str(row["database"]) for row in rows if row["is_this"])


def test_a_link_of_the_configuration_is_made_and_follows_it(tmp_path: Path) -> None:
    """Its address changes without a seed; other families are refused with a reason."""
    sites = Sites(tmp_path, 2)
    first, second = sites.nodes
    second.configure({"links.from0": {"source": sites.replication[0]}})
    try:
        sites.start()
        sites.until_streaming(1, 0)
        first.ask("SET", "k", "1")
        eventually(lambda: second.ask("GET", "k") == b"1")

        several = f"127.0.0.1:9,{sites.replication[0]}"
        second.configure({"links.from0": {"source": several, "keep_losers_seconds": 5.0}})
        assert second.ask("REPLICAD.RELOAD") is not None
        eventually(lambda: sites.link_of(1, 0)["source"] == several)
        sites.until_streaming(1, 0)
        first.ask("SET", "k", "2")
        eventually(lambda: second.ask("GET", "k") == b"2")

        second.configure({"links.from0": {"source": several, "families": ["default", "none"]}})
        second.ask("REPLICAD.RELOAD")
        eventually(lambda: "remove it" in str(sites.link_of(1, 0)["not_configured"]))
        first.ask("SET", "k", "3")
        eventually(lambda: second.ask("GET", "k") == b"3")
    finally:
        sites.end()


def test_a_link_finds_the_new_primary_of_its_source(pair: Sites) -> None:
    """The source is named with all of its nodes."""
    first, second = pair.nodes
    (port,) = free_ports(1)
    other = f"{HOST}:{port}"
    pair.cluster.replication_port = int(pair.replication[0].rpartition(":")[2])
    replica = pair.cluster.replica("replica of site0")
    replica.keys["replication"] = other
    replica.configure({})
    replica.start()
    second.ask("REPLICAD.LINK", "ADD", "from0", f"{pair.replication[0]},{other}")
    pair.until_streaming(1, 0)
    first.ask("SET", "before", "1")
    eventually(lambda: replica.ask("GET", "before") == b"1" and second.ask("GET", "before") == b"1")
    first.kill()
    replica.ask("REPLICAD.PROMOTE", "FORCE")
    replica.ask("SET", "after", "2")
    eventually(lambda: second.ask("GET", "after") == b"2")
    row = pair.link_of(1, 0)
    assert (row["state"], row["address"]) == ("streaming", other)


def test_a_member_that_is_gone_is_forgotten(pair: Sites) -> None:
    """Until then stamps of deletions wait for it. A link from it stands in the way."""
    second = pair.nodes[1]
    pair.link(0, 1)
    (gone,) = members(pair, 1) - {own(pair, 1)}
    with pytest.raises(redis.ResponseError, match="link from0 comes from it"):
        second.ask("REPLICAD.LINK", "FORGET", gone)
    second.ask("REPLICAD.LINK", "REMOVE", "from0")
    for wrong, said in (
        ("xyz", "32 hexadecimal digits"),
        ("0" * 32, "no database"),
        (own(pair, 1), "itself"),
    ):
        with pytest.raises(redis.ResponseError, match=said):
            second.ask("REPLICAD.LINK", "FORGET", wrong)
    second.ask("REPLICAD.LINK", "FORGET", gone)
    assert members(pair, 1) == {own(pair, 1)}
    assert second.terminate() == 0
    second.start()
    assert members(pair, 1) == {own(pair, 1)}


@pytest.mark.long
def test_a_site_that_was_silent_is_seeded_and_loses_nothing(tmp_path: Path) -> None:
    """Deletions were forgotten meanwhile: links stop, say why, and seeds bring all together."""
    sites = Sites(tmp_path, 2)
    for node in sites.nodes:
        node.configure({"link": {"link_silence_seconds_max": 15.0, "stopped_retry_seconds": 0.2}})
    try:
        sites.start()
        sites.link(0, 1)
        sites.link(1, 0)
        first, second = sites.nodes
        for key in ("deleted there", "deleted here", "kept"):
            first.ask("SET", key, "1")
        sites.until_equal()
        for node, link in ((first, "from1"), (second, "from0")):
            node.ask("REPLICAD.LINK", "PAUSE", link)
        eventually(lambda: sites.link_of(0, 1)["state"] == sites.link_of(1, 0)["state"] == "paused")
        first.ask("DEL", "deleted here")
        second.ask("DEL", "deleted there")
        first.ask("SET", "late here", "1")
        second.ask("SET", "late there", "1")
        eventually(
            lambda: b"deleted here" not in sites.stamps(0) and b"deleted there" not in sites.stamps(1), 120
        )
        for node, link in ((first, "from1"), (second, "from0")):
            node.ask("REPLICAD.LINK", "RESUME", link)
        eventually(lambda: sites.link_of(1, 0)["state"] == "stopped")
        assert "silent for so long" in str(sites.link_of(1, 0)["reason"])
        second.ask("REPLICAD.LINK", "SEED", "from0")
        sites.until_streaming(1, 0)
        first.ask("REPLICAD.LINK", "SEED", "from1")
        sites.until_streaming(0, 1)
        assert sites.until_equal().keys() == {b"kept", b"late here", b"late there"}
    finally:
        sites.end()
