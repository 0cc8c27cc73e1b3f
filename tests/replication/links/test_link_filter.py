"""What a link carries."""

from __future__ import annotations

from replicad.replication.links.link_filter import KeyBounds, LinkFilter


def test_what_a_link_carries() -> None:
    chosen = LinkFilter(["a", "b"], [b"eu:", b"x"])
    assert chosen.carries("a", b"eu:1") and chosen.carries("b", b"x")
    assert not chosen.carries("c", b"eu:1") and not chosen.carries("a", b"us:1")
    assert chosen.families({"b", "c"}) == ["b"]
    everything = LinkFilter()
    assert everything.carries("c", b"any") and everything.families({"b", "a"}) == ["a", "b"]


def test_whether_something_is_left_out() -> None:
    """A link that names all linked families leaves nothing out."""
    assert not LinkFilter().leaves_out({"a"}) and not LinkFilter(["a", "b"]).leaves_out({"a"})
    assert LinkFilter(["a"]).leaves_out({"a", "b"}) and LinkFilter((), [b"p"]).leaves_out({"a"})


def test_which_keys_a_seed_reads() -> None:
    """In order, once each, and behind the last key that came."""
    chosen = LinkFilter((), [b"eu:fr", b"b", b"eu:", b"\xff"])
    all_ranges = [KeyBounds(b"b", b"c"), KeyBounds(b"eu:", b"eu;"), KeyBounds(b"\xff", None)]
    assert list(chosen.key_ranges(None)) == all_ranges
    assert list(chosen.key_ranges(b"eu:fr")) == [KeyBounds(b"eu:fr\0", b"eu;"), KeyBounds(b"\xff", None)]
    assert list(chosen.key_ranges(b"z")) == [KeyBounds(b"\xff", None)]
    assert list(LinkFilter().key_ranges(b"k")) == [KeyBounds(b"k\0", None)]
