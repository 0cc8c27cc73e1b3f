"""Linked primaries as processes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import redis

from tests.links import simulated
from tests.links.sites import Sites, write_everywhere
from tests.support.waiting import eventually


def test_a_pair_takes_writes_on_both_sides(pair: Sites) -> None:
    """What the source held comes first and wins over what the newcomer held; the newcomer's own keys stay."""
    first, second = pair.nodes
    first.ask("SET", "both", "first")
    first.ask("SET", "of first", "1")
    second.ask("SET", "both", "second")
    second.ask("SET", "of second", "2")
    pair.link(0, 1)
    pair.link(1, 0)
    assert pair.until_equal() == {b"both": b"first", b"of first": b"1", b"of second": b"2"}
    second.ask("SET", "both", "newer")
    first.ask("DEL", "of first")
    first.ask("INCR", "counter")
    eventually(lambda: second.ask("GET", "counter") == b"1")
    assert pair.until_equal() == {b"both": b"newer", b"of second": b"2", b"counter": b"1"}
    pair.check_logs({b"both": b"newer", b"of second": b"2", b"counter": b"1"})


def test_a_pair_that_is_linked_both_ways_at_once_comes_together(pair: Sites) -> None:
    """Nobody was first: where both have a key the larger value stays."""
    for number, node in enumerate(pair.nodes):
        for key in ("both", f"only {number}"):
            node.ask("SET", key, f"value of {number}")
    for target, node in enumerate(pair.nodes):
        node.ask("REPLICAD.LINK", "ADD", f"from{1 - target}", pair.replication[1 - target])
    for target in (0, 1):
        pair.until_streaming(target, 1 - target)
    data = pair.until_equal()
    assert data.keys() == {b"both", b"only 0", b"only 1"}
    pair.nodes[0].ask("SET", "both", "a later one")
    assert pair.until_equal()[b"both"] == b"a later one"


def test_a_ring_ends_equal_whoever_is_killed(three: Sites) -> None:
    """Writes and deletes of the same keys everywhere, each node killed and one stopped meanwhile."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for source, target in ((0, 1), (1, 2), (2, 0)):
        three.link(source, target)
    writers = write_everywhere(three, seed, writes=4000, keys=200)
    try:
        for node in draw.sample(three.nodes, 3):
            before = sum(writer.acknowledged for writer in writers)
            eventually(
                lambda before=before: (
                    sum(each.acknowledged for each in writers) > before + 500  # type: ignore[misc]
                    or not any(each.is_alive() for each in writers)
                )
            )
            node.kill()
            node.start()
    finally:
        for writer in writers:
            writer.join(60)
            writer.end()
    data = three.until_equal()
    assert data
    three.check_logs(data)


def test_a_link_is_paused_and_goes_on(pair: Sites) -> None:
    """Nothing is lost meanwhile, and a restart leaves it paused."""
    pair.link(0, 1)
    first, second = pair.nodes
    second.ask("REPLICAD.LINK", "PAUSE", "from0")
    eventually(lambda: pair.link_of(1, 0)["state"] == "paused")
    first.ask("SET", "k", "v")
    assert second.terminate() == 0
    second.start()
    eventually(lambda: pair.link_of(1, 0)["state"] == "paused")
    assert second.ask("GET", "k") is None
    second.ask("REPLICAD.LINK", "RESUME", "from0")
    eventually(lambda: second.ask("GET", "k") == b"v")
    second.ask("REPLICAD.LINK", "REMOVE", "from0")
    eventually(lambda: pair.link_of(1, 0)["state"] == "none")
    assert second.ask("GET", "k") == b"v"


def test_what_is_the_nodes_own_is_not_a_clients(pair: Sites) -> None:
    """Families and annotations that begin as ours, and links that cannot be."""
    pair.link(0, 1)
    node = pair.nodes[1]
    for command, said in (
        (("REPLICAD.FAMILY", "CREATE", "replicad.mine"), "the node's own"),
        (("REPLICAD.LOGDATA", "replicad.link/1"), "the node's own"),
        (("SET", "k" * 60_001, "v"), "at most 60000 bytes"),
        (("REPLICAD.LINK", "ADD", "from0", "127.0.0.1:1"), "there is a link from0 already"),
        (("REPLICAD.LINK", "ADD", "again", pair.replication[0]), "one carries all families"),
        (("REPLICAD.LINK", "ADD", "a b", "127.0.0.1:1"), "the name of a link"),
        (("REPLICAD.LINK", "ADD", "x", "nowhere"), "nowhere"),
        (("REPLICAD.LINK", "ADD", "x", "127.0.0.1:1", "FAMILY", "none"), "no column family none"),
        (("REPLICAD.LINK", "PAUSE", "none"), "there is no link 'none'"),
        (("SELECT", "1"), "out of range|invalid"),
    ):
        with pytest.raises(redis.ResponseError, match=said):
            node.ask(*command)


def test_a_link_to_itself_is_refused(pair: Sites) -> None:
    """A link joins two databases."""
    node = pair.nodes[0]
    node.ask("REPLICAD.LINK", "ADD", "from0", pair.replication[0])
    eventually(lambda: pair.link_of(0, 0)["state"] == "stopped")
    assert "wants a replica" in str(pair.link_of(0, 0)["reason"])


def test_a_new_primary_of_a_site_goes_on_with_its_links(pair: Sites) -> None:
    """Links, stamps and places stand in the data, which its replica has."""
    first, second = pair.nodes
    pair.link(0, 1)
    pair.link(1, 0)
    replica = pair.cluster.replica("replica of site1").start()  # of the primary that was made last
    first.ask("SET", "before", "1")
    second.ask("SET", "here", "2")
    eventually(lambda: replica.ask("GET", "before") == b"1" and replica.ask("GET", "here") == b"2")
    second.kill()
    assert replica.ask("REPLICAD.PROMOTE", "FORCE") is not None
    first.ask("SET", "after", "3")
    eventually(lambda: replica.ask("GET", "after") == b"3")
    replica.ask("SET", "before", "4")
    assert replica.ask("GET", "before") == b"4"
    assert json.loads(replica.ask("REPLICAD.LINK", "LIST"))[0]["name"] == "from0"


def test_a_link_whose_log_is_gone_stops_and_is_seeded_again(tmp_path: Path) -> None:
    """Nothing is resumed silently; a seed brings both together again."""
    sites = Sites(tmp_path, 2)
    for node in sites.nodes:
        node.configure(
            {
                "store": {"log_retention_bytes": 0, "segment_bytes": 16384, "memtable_bytes": 65536},
                "link": {"slot_log_bytes_max": 32768},
            }
        )
    try:
        sites.start()
        sites.link(0, 1)
        first, second = sites.nodes
        second.ask("REPLICAD.LINK", "PAUSE", "from0")
        eventually(lambda: not sites.link_of(1, 0).get("reason") and sites.link_of(1, 0)["state"] == "paused")
        for number in range(400):
            first.ask("SET", f"key:{number}", "x" * 1000)
        second.ask("SET", "own", "1")
        second.ask("REPLICAD.LINK", "RESUME", "from0")
        eventually(lambda: sites.link_of(1, 0)["state"] == "stopped", 60)
        assert "seed the link again" in str(sites.link_of(1, 0)["reason"])
        second.ask("REPLICAD.LINK", "SEED", "from0")
        eventually(lambda: second.ask("GET", "key:399") is not None, 60)
        sites.until_streaming(1, 0)
        assert second.ask("DBSIZE") == 401
    finally:
        sites.end()


def test_deletions_are_forgotten_once_everybody_knows(pair: Sites) -> None:
    """Their stamps go; the key stays deleted."""
    pair.link(0, 1)
    pair.link(1, 0)
    first, second = pair.nodes
    first.ask("SET", "k", "v")
    eventually(lambda: second.ask("GET", "k") == b"v")
    second.ask("DEL", "k")
    eventually(lambda: first.ask("GET", "k") is None)

    eventually(lambda: not pair.stamps(0) and not pair.stamps(1), 60)
    assert first.ask("GET", "k") is None and second.ask("GET", "k") is None


def test_the_model_holds() -> None:
    """A few seeds of `make sim LINKS=1`."""
    assert [seed for seed in range(100, 140) if simulated.play(seed) is not None] == []


def test_a_pause_of_writes_holds_links_as_well(pair: Sites) -> None:
    """Who pauses writes counts on data that stands still."""
    pair.link(0, 1)
    first, second = pair.nodes
    second.ask("CLIENT", "PAUSE", "600000", "WRITE")
    first.ask("SET", "k", "v")
    eventually(lambda: first.status()["links"][0]["sequence"] >= 1)
    before = second.status()["applied_sequence"]
    first.ask("SET", "k", "w")
    assert second.status()["applied_sequence"] == before and second.ask("GET", "k") is None
    second.ask("CLIENT", "UNPAUSE")
    eventually(lambda: second.ask("GET", "k") == b"w")
