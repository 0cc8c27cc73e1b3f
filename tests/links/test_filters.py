"""Links that leave something out."""

from __future__ import annotations

from tests.links.sites import Sites
from tests.support.waiting import eventually


def test_a_link_that_leaves_families_out_ships_only_what_was_made_at_its_source(three: Sites) -> None:
    """What came there from elsewhere may come to the target another way, with all of its families."""
    first, second, third = three.nodes
    for node in three.nodes:
        node.ask("REPLICAD.FAMILY", "CREATE", "sessions")
    both = ("FAMILY", "default", "FAMILY", "sessions")
    second.ask("REPLICAD.LINK", "ADD", "from0", three.replication[0], *both)
    three.until_streaming(1, 0)
    third.ask("REPLICAD.LINK", "ADD", "from1", three.replication[1], "FAMILY", "default")
    three.until_streaming(2, 1)
    first.ask("SET", "foreign", "1")
    eventually(lambda: second.ask("GET", "foreign") == b"1")
    second.ask("SET", "own", "2")
    eventually(lambda: third.ask("GET", "own") == b"2")
    assert third.ask("GET", "foreign") is None


def test_only_keys_with_some_prefixes_come_over_a_link(pair: Sites) -> None:
    """From the seed and from the log; what the newcomer holds beside them stays, and goes the other way."""
    first, second = pair.nodes
    for key in ("eu:old", "us:old", "b\xff"):
        first.ask("SET", key, "1")
    second.ask("SET", "us:mine", "2")
    second.ask("SET", "eu:mine", "2")
    with second.client() as client:
        words = ("PREFIX", "eu:", "PREFIX", b"b\xc3")
        client.execute_command("REPLICAD.LINK", "ADD", "from0", pair.replication[0], *words)
    pair.until_streaming(1, 0)
    for key in ("eu:new", "us:new"):
        first.ask("SET", key, "1")
    first.ask("DEL", "eu:old")
    eventually(lambda: second.ask("GET", "eu:new") == b"1" and second.ask("GET", "eu:old") is None)
    assert pair.data(1).keys() == {b"eu:new", b"eu:mine", b"us:mine", "b\xff".encode()}
    row = pair.link_of(1, 0)
    assert row["prefixes"] == ["eu:", "b\udcc3"] and row["reason"] is None

    pair.link(1, 0)
    eventually(lambda: first.ask("GET", "us:mine") == b"2" and first.ask("GET", "eu:mine") == b"2")
    assert first.ask("GET", "us:new") == b"1" and second.ask("GET", "us:new") is None


def test_a_link_that_comes_back_with_a_prefix_leaves_other_keys_alone(pair: Sites) -> None:
    """They are not in its seed, and not lost: newer writes stay, and what was deleted stays deleted."""
    first, second = pair.nodes
    pair.link(0, 1)
    pair.link(1, 0)
    for key in ("us:1", "us:2", "eu:1"):
        first.ask("SET", key, "old")
    pair.until_equal()
    second.ask("REPLICAD.LINK", "REMOVE", "from0")
    eventually(lambda: pair.link_of(1, 0)["state"] == "none")
    first.ask("SET", "us:1", "new")
    first.ask("DEL", "us:2", "eu:1")
    second.ask("REPLICAD.LINK", "ADD", "from0", pair.replication[0], "PREFIX", "eu:")
    pair.until_streaming(1, 0)
    eventually(lambda: second.ask("GET", "eu:1") is None)
    second.ask("SET", "last", "1")
    eventually(lambda: first.ask("GET", "last") == b"1")
    assert pair.data(0) == {b"us:1": b"new", b"last": b"1"}


def test_who_is_seeded_by_a_partial_primary_knows_it(three: Sites) -> None:
    """It does not know what its source has seen: nothing is deleted by the source's horizon."""
    first, second, third = three.nodes
    second.ask("SET", "us:1", "1")
    second.ask("REPLICAD.LINK", "ADD", "from0", three.replication[0], "PREFIX", "eu:")
    three.until_streaming(1, 0)
    three.link(1, 2)
    first.ask("SET", "eu:1", "1")
    eventually(lambda: third.ask("GET", "eu:1") == b"1")
    assert third.ask("GET", "us:1") == b"1"
    assert [three.is_partial(number) for number in range(3)] == [False, True, True]
