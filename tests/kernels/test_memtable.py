"""The memtable keeps every version in order, answers at any sequence number, and counts its memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicad import kernels
from tests.support.oracle import batch as oracle
from tests.support.oracle.memtable import Entry, Memtable
from tests.support.stores import log_strategies as logs

SEED = 7


def insert(entries: list[Entry]) -> kernels.Memtable:
    """A memtable of `entries`, whose sequence numbers grow one by one, put in through a writer."""
    memtables = kernels.MemtableSet()
    memtable = kernels.Memtable()
    memtables.set(0, memtable)
    first = entries[0][1] if entries else 1
    writer = kernels.FrameWriter(bytes(16), 1, first - 1, 0)
    for key, sequence, kind, value in entries:
        if kind == oracle.PUT:
            assert writer.add_put(key, value, 0, 0, 0) == sequence
        else:
            assert writer.add_delete(key, 0, 0, 0) == sequence
    writer.commit(memtables)
    return memtable


def twin(entries: list[Entry]) -> Memtable:
    memtable = Memtable()
    for entry in entries:
        memtable.add(*entry)
    return memtable


writes = st.lists(st.tuples(logs.keys, st.none() | logs.values), max_size=200)


@settings(max_examples=60)
@given(writes, st.integers(1, 1000), st.data())
def test_agrees_with_the_oracle(
    written: list[tuple[bytes, bytes | None]], first: int, draw: st.DataObject
) -> None:
    """Contents, order, and the answer to any get at any sequence number are the oracle's."""
    entries = [
        (key, first + i, oracle.DELETE if value is None else oracle.PUT, value or b"")
        for i, (key, value) in enumerate(written)
    ]
    memtable, expected = insert(entries), twin(entries)
    assert memtable.items() == expected.items()
    assert memtable.entries == len(entries)
    assert memtable.data_bytes == sum(len(key) + len(value) for key, _, _, value in entries)
    assert memtable.first_sequence == (first if entries else 0)
    assert memtable.last_sequence == (entries[-1][1] if entries else 0)
    at = draw.draw(st.integers(0, first + len(entries)))
    for key in {entry[0] for entry in entries} | {draw.draw(logs.keys)}:
        assert memtable.get(key, at) == expected.get(key, at)
        assert memtable.get(key, 2**64 - 1) == expected.get(key, 2**64 - 1)
    assert memtable.without_after(at).items() == memtable.items(at) == expected.items(at)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng, i: rng.randbytes(16),
        lambda rng, i: b"user:profile:%08d" % rng.randrange(4000),
        lambda rng, i: b"%08d" % i,
        lambda rng, i: b"%08d" % (20_000 - i),
        lambda rng, i: rng.choice([b"tenant-a/", b"tenant-b/"]) * rng.randrange(1, 4) + rng.randbytes(2),
        lambda rng, i: b"one and the same key",
        lambda rng, i: bytes(rng.randrange(300)),
        lambda rng, i: b"a" * (i % 40) + rng.randbytes(rng.randrange(3)),
        lambda rng, i: b"a" * 16 + b"%d" % i if i % 2 else b"b%d" % (90_000 - i),
    ],
    ids=[
        "random", "shared prefix", "ascending", "descending", "two tenants", "one key", "zeros", "nested",
        "outward",
    ],
)  # fmt: skip
def test_large_memtables_agree_with_the_oracle(make: object) -> None:
    """Trees of several levels keep their order whatever the keys look like."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    entries = [(make(rng, i), i + 1, oracle.PUT, b"v%d" % i) for i in range(20_000)]  # type: ignore[operator]
    memtable, expected = insert(entries), twin(entries)
    items = memtable.items()
    assert items == expected.items()
    present = {entry[0] for entry in entries}
    for key, sequence, _, value in rng.sample(items, 500):
        assert memtable.get(key, sequence) == (True, value)
        for near in (key + b"\0", key[:-1], key[:-1] + b"\xff"):
            assert memtable.get(near, 2**64 - 1)[0] == (near in present)


@settings(max_examples=40)
@given(st.lists(st.lists(logs.keys, max_size=40), min_size=1, max_size=8), st.booleans())
def test_scans_go_on_while_the_memtable_grows(rounds: list[list[bytes]], reverse: bool) -> None:
    """A scan that pauses while others write returns just what was there when it began, in order."""
    memtables, memtable = kernels.MemtableSet(), kernels.Memtable()
    memtables.set(0, memtable)
    writer = kernels.FrameWriter(bytes(16), 1, 0, 0)

    def write(written: list[bytes]) -> None:
        for key in written:
            writer.add_put(key, b"%d" % writer.sequence, 0, 0, 0)
        writer.commit(memtables)

    write([b"%03d" % i for i in range(150)] + rounds[0])
    sequence = writer.sequence
    view = kernels.ReadView([memtable], [], [])
    expected = view.scan(None, None, sequence, reverse).page(10_000)
    assert [key for key, _ in expected] == sorted({key for key, _ in expected}, reverse=reverse)
    cursor, got = view.scan(None, None, sequence, reverse), []
    for written in rounds[1:]:
        got += cursor.page(7)
        write(written)
    assert got + cursor.page(10_000) == expected


def test_memory_is_counted() -> None:
    """memory_bytes covers what was put, grows by no more than needed, and counts huge values whole."""
    memtable = insert([(b"k%06d" % i, i + 1, oracle.PUT, bytes(100)) for i in range(5000)])
    assert memtable.data_bytes < memtable.memory_bytes < 2 * memtable.data_bytes
    empty = kernels.Memtable().memory_bytes
    assert empty < 4096
    huge = insert([(b"k", 1, oracle.PUT, bytes(8 << 20))])
    assert 8 << 20 <= huge.memory_bytes < (8 << 20) + 16384


def test_a_sealed_memtable_takes_nothing() -> None:
    """Inserting into a sealed memtable is a bug of the caller and changes nothing in it."""
    memtable = insert([(b"k", 1, oracle.PUT, b"v")])
    memtable.seal()
    assert memtable.sealed
    memtables = kernels.MemtableSet()
    memtables.set(0, memtable)
    writer = kernels.FrameWriter(bytes(16), 1, 1, 0)
    writer.add_put(b"l", b"v", 0, 0, 0)
    with pytest.raises(RuntimeError):
        writer.commit(memtables)
    assert memtable.items() == [(b"k", 1, oracle.PUT, b"v")]


def test_a_memtable_set_holds_one_memtable_a_family() -> None:
    """Families are set, replaced and removed on their own; memory is the sum."""
    memtables = kernels.MemtableSet()
    first, second, third = (insert([(b"k", 1, oracle.PUT, b"v" * size)]) for size in (1, 10, 1000))
    memtables.set(7, first)
    memtables.set(0, second)
    assert memtables.memory_bytes == first.memory_bytes + second.memory_bytes
    memtables.set(7, third)
    assert memtables.get(7) is third
    assert memtables.get(0) is second
    memtables.remove(7)
    memtables.remove(8)
    assert memtables.get(7) is None
    assert memtables.memory_bytes == second.memory_bytes


def test_a_set_knows_which_families_a_batch_lacks() -> None:
    """The first unknown family of a batch is told, whatever order its operations have."""
    memtables = kernels.MemtableSet()
    memtables.set(0, kernels.Memtable())
    memtables.set(3, kernels.Memtable())
    batch = kernels.Batch()
    batch.put(b"k", b"v")
    batch.put_log_data(b"note")
    assert memtables.unknown_family(batch) is None
    batch.delete(b"k", 3)
    assert memtables.unknown_family(batch) is None
    batch.put(b"k", b"v", 7)
    batch.put(b"k", b"v", 5)
    assert memtables.unknown_family(batch) == 7
    assert memtables.unknown_family(kernels.Batch.from_data(batch.data)) == 7
    memtables.remove(3)
    assert memtables.unknown_family(batch) == 3
    batch.clear()
    assert memtables.unknown_family(batch) is None


def test_empty_memtables_count_for_nothing() -> None:
    """A set's memory is that of its memtables with entries, so sealing those brings it to nothing."""
    memtables = kernels.MemtableSet()
    for family in range(100):
        memtables.set(family, kernels.Memtable())
    assert memtables.memory_bytes == 0
