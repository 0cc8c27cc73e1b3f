"""Comparing nodes range by range."""

from __future__ import annotations

import random
from typing import Any

import pytest

from replicad.replication.verify.comparison import Comparison, Difference, DifferenceKind, differing
from replicad.store.ranges import Entries, Entry
from tests.support.replication.contents import DictionaryContents

MIB = 1 << 20


def pairs(count: int, size: int = 200, seed: int = 1) -> dict[bytes, bytes]:
    numbers = random.Random(seed)
    return {b"key-%07d" % number: numbers.randbytes(size) for number in range(count)}


async def compare(
    mine: dict[int, dict[bytes, bytes]], *others: dict[int, dict[bytes, bytes]], limit: int = 10
) -> tuple[Comparison, list[DictionaryContents]]:
    sides = [DictionaryContents(families) for families in (mine, *others)]
    comparison = Comparison(differences_max=limit)
    await comparison.run(sides[0], sides[1:])
    return comparison, sides


def entries(text: str, *, whole: bool = True) -> Entries:
    """Keys of one letter, each before the digit that stands for its value."""
    pairs = zip(text[::2], text[1::2], strict=True)
    return Entries(tuple(Entry(key.encode(), digit.encode()) for key, digit in pairs), whole)


@pytest.mark.parametrize(
    ("mine", "theirs", "found", "horizon"),
    [
        (entries(""), entries(""), [], None),
        (entries("a1b1"), entries("a1b1"), [], None),
        (entries("a1b1c1"), entries("a1c2"), [("b", "missing"), ("c", "value")], None),
        (entries("b1"), entries("a1b1d1"), [("a", "extra"), ("d", "extra")], None),
        (entries("a1b1", whole=False), entries("a1b1c1"), [], "b"),
        (entries("a1d1", whole=False), entries("c1", whole=False), [("a", "missing"), ("c", "extra")], "c"),
        (entries("a1"), entries("b1", whole=False), [("a", "missing"), ("b", "extra")], "b"),
    ],
)  # fmt: skip
def test_listings_tell_about_every_key_up_to_where_the_shorter_ends(
    mine: Entries, theirs: Entries, found: Any, horizon: str | None
) -> None:
    """Two listings tell about every key up to where the shorter one ends."""
    expected = [(key.encode(), DifferenceKind(kind)) for key, kind in found]
    assert differing(mine, theirs) == (expected, horizon.encode() if horizon else None)


async def test_equal_data_is_read_once() -> None:
    """Equal nodes need one pass: every byte is digested once on each, and no key is listed."""
    data = {0: pairs(20_000), 1: {}, 7: pairs(100, seed=2)}
    comparison, sides = await compare(data, data, data)
    assert comparison.finished and not comparison.differences
    total = sum(8 + len(key) + len(value) for family in data.values() for key, value in family.items())
    for side in sides:
        assert side.read_bytes == total == comparison.compared_bytes
        assert side.listed == 0


@pytest.mark.parametrize("kind", [DifferenceKind.VALUE, DifferenceKind.MISSING, DifferenceKind.EXTRA])
async def test_a_key_that_differs_is_named_for_little_more_than_one_pass(kind: DifferenceKind) -> None:
    """A value, a missing key and an extra key are named, for little more than one pass."""
    mine = {0: pairs(100), 3: pairs(30_000)}
    theirs = {0: pairs(100), 3: pairs(30_000)}
    key = b"key-0012345"
    if kind is DifferenceKind.MISSING:
        del theirs[3][key]
    elif kind is DifferenceKind.EXTRA:
        key += b"+"
        theirs[3][key] = b""
    else:
        theirs[3][key] = b"another"
    comparison, (one, two, three) = await compare(mine, mine, theirs)
    assert comparison.differences == [Difference(1, 3, key, kind)]
    assert comparison.finished
    assert two.read_bytes == comparison.compared_bytes
    assert three.read_bytes < comparison.compared_bytes + 2 * MIB
    assert one.listed < 1000


async def test_many_differences_are_bounded() -> None:
    """The first differences in key order are named, and nothing is read for the others."""
    data = pairs(50_000)
    comparison, sides = await compare({0: data}, {0: dict.fromkeys(data, b"x")}, limit=7)
    assert [found.key for found in comparison.differences] == sorted(data)[:7]
    assert not comparison.finished
    assert max(side.read_bytes for side in sides) < 12 * MIB


async def test_all_of_a_node_is_missing_or_extra() -> None:
    """An empty node and a full one are compared without reading all of the full one's data as one range."""
    data = pairs(100_000)
    comparison, (one, _) = await compare({0: data}, {0: {}})
    assert [found.kind for found in comparison.differences] == [DifferenceKind.MISSING] * 10
    comparison, (_, two) = await compare({0: {}}, {0: data})
    assert [found.kind for found in comparison.differences] == [DifferenceKind.EXTRA] * 10
    assert max(one.read_bytes, two.read_bytes) < 20 * MIB


async def test_random_data_against_the_obvious_answer() -> None:
    """Whatever differs is found, and nothing else, in the order of the keys."""
    for seed in range(30):
        numbers = random.Random(seed)
        count = numbers.choice([0, 3, 1000, 4000])
        mine = pairs(count, numbers.choice([0, 100, 900]), seed)
        theirs = dict(mine)
        for _ in range(numbers.randrange(8)):
            key = b"key-%07d" % numbers.randrange(count + 2) + numbers.choice([b"", b"z"])
            if numbers.random() < 0.5:
                theirs.pop(key, None)
            else:
                theirs[key] = numbers.randbytes(numbers.choice([1, 300_000]))
        expected = []
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                kind = (
                    DifferenceKind.MISSING
                    if key not in theirs
                    else DifferenceKind.EXTRA
                    if key not in mine
                    else DifferenceKind.VALUE
                )
                expected.append(Difference(0, 0, key, kind))
        comparison, _ = await compare({0: mine}, {0: theirs}, limit=100)
        assert comparison.differences == expected, f"seed {seed}"


async def test_keys_too_long_to_part() -> None:
    """A stretch of keys that share a long beginning is listed; when the listing ends, its place is told."""
    long = {b"x" * 50_000 + b"%03d" % number: b"v" for number in range(40)}
    other = {**long, b"x" * 50_000 + b"003": b"w"}
    comparison, _ = await compare({0: long}, {0: other})
    assert [(found.key[-3:], found.kind) for found in comparison.differences] == [
        (b"003", DifferenceKind.VALUE)
    ]
    other = {**long, b"x" * 50_000 + b"039": b"w"}
    comparison, _ = await compare({0: long}, {0: other})
    assert [found.kind for found in comparison.differences] == [DifferenceKind.RANGE]
    comparison, _ = await compare({0: long}, {0: dict(long)})
    assert comparison.finished and not comparison.differences


async def test_families_are_compared_too() -> None:
    """A family that only one node has, or has under another name, is a difference by itself."""
    data = {0: pairs(10), 1: pairs(10), 2: pairs(10)}
    one = DictionaryContents(data, {0: "default", 1: "orders", 2: "old"})
    two = DictionaryContents(data, {0: "default", 1: "orders", 3: "new"})
    comparison = Comparison()
    await comparison.run(one, [two])
    assert comparison.differences == [
        Difference(0, 2, b"old", DifferenceKind.FAMILY_MISSING),
        Difference(0, 3, b"new", DifferenceKind.FAMILY_EXTRA),
    ]


async def test_a_pass_goes_on_where_it_stopped() -> None:
    """After an error in the middle the pass goes on with other snapshots, and reads nothing twice."""
    data = {0: pairs(60_000), 1: pairs(5_000)}
    reads = 0
    comparison: Comparison

    async def pause(size_bytes: int) -> None:
        nonlocal reads
        reads += 1
        if reads in (2, 3):
            raise OSError("the link broke")

    comparison = Comparison(pause=pause)
    places, read_bytes = [], 0
    while not comparison.finished:
        sides = DictionaryContents(data), DictionaryContents(data)
        try:
            await comparison.run(sides[0], sides[1:])
        except OSError:
            places.append(comparison.at)
        read_bytes += sides[1].read_bytes
    assert len(places) == 2
    assert places == sorted(places)
    assert read_bytes == comparison.compared_bytes
