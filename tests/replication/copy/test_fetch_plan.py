"""Which pieces are asked for, and what happens to the files of a connection that breaks."""

from __future__ import annotations

import random

import pytest

from replicad.replication.copy.fetch_plan import FetchPlan, FileRange, another_helps


def claims(plan: FetchPlan, connection: str, pieces: int = 2) -> list[FileRange]:
    """So many pieces, or those that are left."""
    found = (plan.claim(connection) for _ in range(pieces))
    return [piece for piece in found if piece is not None]


def test_a_file_is_asked_for_in_pieces() -> None:
    """In order; several may be asked for before the first has come."""
    plan = FetchPlan({0: 25}, {}, piece_bytes=10)
    assert claims(plan, "a") == [FileRange(0, 0, 10), FileRange(0, 10, 10)]
    assert not plan.received("a", 4)
    assert plan.expected("a") == FileRange(0, 4, 6)
    assert not plan.received("a", 6)
    assert claims(plan, "a") == [FileRange(0, 20, 5)]
    assert not plan.received("a", 10)
    assert plan.received("a", 5)
    assert claims(plan, "a") == []
    assert plan.expected("a") is None


def test_the_next_file_follows() -> None:
    """A connection asks for the next file while the last one is on its way."""
    plan = FetchPlan({0: 3, 1: 3, 2: 30}, {}, piece_bytes=10)
    assert claims(plan, "a", 3) == [FileRange(0, 0, 3), FileRange(1, 0, 3), FileRange(2, 0, 10)]


def test_a_file_goes_on_where_it_stands() -> None:
    """What an earlier attempt left is not asked for again."""
    plan = FetchPlan({0: 25, 1: 5}, {0: 18}, piece_bytes=10)
    assert claims(plan, "a", 1) == [FileRange(0, 18, 7)]
    assert plan.received("a", 7)
    assert claims(plan, "a") == [FileRange(1, 0, 5)]


def test_files_of_a_broken_connection_are_for_the_others() -> None:
    """From where they stood; what was on its way is asked for again, what was complete is not."""
    plan = FetchPlan({0: 5, 1: 25, 2: 5}, {}, piece_bytes=10)
    assert claims(plan, "a") == [FileRange(0, 0, 5), FileRange(1, 0, 10)]
    assert plan.received("a", 5)
    assert not plan.received("a", 4)
    plan.release("a")
    assert claims(plan, "b") == [FileRange(1, 4, 10), FileRange(1, 14, 10)]
    assert claims(plan, "c") == [FileRange(2, 0, 5)]


def test_random_breaks_bring_every_byte_once() -> None:
    """Whatever breaks, each file arrives in order and whole, and at most a window a break is asked again."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    sizes = {index: rng.randrange(1, 200) for index in range(30)}
    plan = FetchPlan(sizes, {}, piece_bytes=16)
    here = dict.fromkeys(sizes, 0)
    asked = breaks = 0
    while here != sizes:
        connection = rng.choice("abc")
        if plan.expected(connection) is None:
            asked += sum(piece.length for piece in claims(plan, connection))
        if rng.random() < 0.05:
            plan.release(connection)
            breaks += 1
        elif (piece := plan.expected(connection)) is not None:
            assert piece.offset == here[piece.entry]
            length = rng.randrange(1, piece.length + 1)
            here[piece.entry] += length
            assert plan.received(connection, length) == (here[piece.entry] == sizes[piece.entry])
    assert asked <= sum(sizes.values()) + 32 * breaks


@pytest.mark.parametrize(
    ("rates", "connections", "expected"),
    [
        ([], 1, True),
        ([100.0], 1, True),
        ([100.0, 111.0], 2, True),
        ([100.0, 110.0], 2, False),
        ([100.0, 190.0, 200.0], 3, False),
        ([100.0, 190.0, 280.0], 8, False),
    ],
)
def test_another_connection_helps(rates: list[float], connections: int, expected: bool) -> None:
    """While the last one gained a tenth, up to the most."""
    assert another_helps(rates, connections, 8) is expected
