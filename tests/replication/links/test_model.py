"""Linked primaries end with the same data, whatever happens on the way."""

from __future__ import annotations

from collections import Counter

import pytest

from replicad.replication.links.batches import Write
from replicad.replication.links.merge import LinkBroken
from tests.replication.links.model import LINKED, TOPOLOGIES, World

SEEDS = 20


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_all_sites_end_with_the_newest_writes(topology: str, seed: int) -> None:
    """By the largest stamp of each key, and no batch is applied twice or comes home."""
    world = World(seed, topology)
    world.run(1500)
    world.check()
    assert world.written


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(("topology", "replaces"), [("pair", False), ("ring", True), ("mesh", False)])
def test_a_member_joins_with_data_of_its_own(topology: str, replaces: bool, seed: int) -> None:
    """What it held before is older than all that has a stamp; afterwards all sites have the same."""
    world = World(seed, topology)
    for _ in range(500):
        world.step()
    world.join(world.links[-1], replaces=replaces)
    for _ in range(700):
        world.step()
    world.settle()
    data = world.check_equal()
    for key, value in world.expected().items():
        assert data[key] == value


def test_an_origin_that_lost_what_is_here_stops_the_link() -> None:
    """A forced promotion began its epoch before what was shipped: nobody guesses what is right."""
    world = World(1, "pair")
    first, second = world.sites
    link = world.links[0]
    for number in range(10):
        first.client_writes(world.now_us, [Write(LINKED, b"k", b"%d" % number)])
    first.sync()
    while link.send() or link.deliver(world.now_us):
        second.sync()
    first.fail_over(world.now_us, lost=3)
    first.sync()
    for number in range(50):
        first.client_writes(world.now_us, [Write(LINKED, b"k", b"%d" % number)])
    first.sync()
    with pytest.raises(LinkBroken, match="lost batches that are here"):
        while True:
            link.send()
            assert link.deliver(world.now_us)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_primaries_that_are_linked_at_once_come_together(topology: str, seed: int) -> None:
    """Each with data of its own: nobody was first, and all end with the same."""
    world = World(seed, topology, at_once=True)
    world.settle()
    assert world.check_equal()
    for _ in range(500):
        world.step()
    world.settle()
    data = world.check_equal()
    for key, value in world.expected().items():
        assert data[key] == value


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_site_that_was_silent_comes_back(topology: str, seed: int) -> None:
    """Deletions were forgotten meanwhile, on both sides: none comes back, and no write is lost."""
    world = World(seed, topology)
    for _ in range(500):
        world.step()
    late = world.isolate(500)
    for _ in range(300):
        world.step()
    world.settle()
    data = world.check_equal()
    assert {key: data.get(key) for key in late} == late
    for key, value in world.expected().items():
        assert data[key] == value


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_site_that_lost_writes_comes_together_again(topology: str, seed: int) -> None:
    """It forgot deletions that others have forgotten since, and writes that others have."""
    world = World(seed, topology)
    for _ in range(700):
        world.step()
    world.lose()
    for _ in range(300):
        world.step()
    world.settle()
    world.check_equal()


@pytest.mark.parametrize("topology", ["ring", "ring of five with a chord"])
@pytest.mark.parametrize("seed", range(5 * SEEDS))
def test_a_seed_of_a_slow_link_hides_no_deletion_from_those_behind(topology: str, seed: int) -> None:
    """What nobody has forgotten before all have seen it goes on to them."""
    world = World(seed, topology)
    world.keys = [b"key%d" % number for number in range(60)]
    for _ in range(2):
        world.run(10)
        world.stall(800)
    world.settle()
    world.check_equal()


@pytest.mark.parametrize("topology", ["ring", "ring of five with a chord", "mesh"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_a_member_that_left_has_sent_dies_where_it_is_known(topology: str, seed: int) -> None:
    """Nothing circles: all links become quiet, and no batch of it stands twice in a log."""
    world = World(seed, topology)
    for _ in range(700):
        world.step()
    gone = world.leave()
    world.settle()
    world.check_equal()
    for site in world.sites:
        arrived = Counter(each for each in world.arrivals(site) if each[0] == gone.id)
        assert max(arrived.values(), default=0) <= 1
    before = sum(link.shipped for link in world.links)
    world.settle()
    assert sum(link.shipped for link in world.links) == before
