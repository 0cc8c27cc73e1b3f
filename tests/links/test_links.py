"""Linked primaries as processes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.links.sites import Sites, write_everywhere
from tests.support.waiting import eventually


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Sites]:
    yield from _started(Sites(tmp_path, 2))


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Sites]:
    yield from _started(Sites(tmp_path, 3))


def _started(sites: Sites) -> Iterator[Sites]:
    try:
        sites.start()
        yield sites
    finally:
        sites.end()
        for node in sites.nodes:
            print(f"--- {node.log.name}\n{node.tail()}")


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
