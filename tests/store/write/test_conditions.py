"""Conditional batches: written whole if every condition holds, not at all otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import replicad
from replicad import AtSequence, ConditionFailed, WriteBatch
from replicad.env import Env
from replicad.store.database import open_database
from tests.support.files.faulty_filesystem import FaultyFileSystem, Gate
from tests.support.stores.small import small_options


@pytest.fixture
def db(tmp_path: Path) -> Iterator[replicad.Database]:
    with replicad.open(tmp_path / "db", small_options()) as database:
        yield database


def one_put(key: bytes, value: bytes) -> WriteBatch:
    batch = WriteBatch()
    batch.put(key, value)
    return batch


def test_a_condition_on_a_value_tells_empty_from_absent(db: replicad.Database) -> None:
    """A value, or its absence, must be what was read; empty is not absent."""
    db.put(b"a", b"1")
    db.put(b"empty", b"")
    assert db.write(one_put(b"a", b"2"), [(b"a", b"1"), (b"empty", b""), (b"none", None)]) == 3
    for condition in [(b"a", b"1"), (b"a", None), (b"empty", None), (b"none", b"")]:
        with pytest.raises(ConditionFailed) as caught:
            db.write(one_put(b"a", b"3"), [(b"empty", b""), condition])
        assert caught.value.key == condition[0]
        assert caught.value.expected == condition[1]
    assert db.get(b"a") == b"2"
    assert db.appended_sequence == 3


def test_a_version_notices_a_key_that_was_changed_and_changed_back(db: replicad.Database) -> None:
    """A version notices what a value does not: a key that was changed and changed back."""
    first = db.put(b"a", b"1")
    assert db.sequence_of(b"a") == first
    assert db.sequence_of(b"b") is None
    db.put(b"a", b"2")
    back = db.put(b"a", b"1")
    with pytest.raises(ConditionFailed) as caught:
        db.write(one_put(b"b", b""), [(b"a", AtSequence(first))])
    assert caught.value.got == AtSequence(back)
    assert db.write(one_put(b"b", b""), [(b"a", AtSequence(back))]) == back + 1
    db.delete(b"a")
    assert db.sequence_of(b"a") is None
    with pytest.raises(ConditionFailed, match="absent"):
        db.write(one_put(b"b", b""), [(b"a", AtSequence(back))])


def test_versions_survive_flush_and_compaction(db: replicad.Database) -> None:
    """The commit sequence number of a key is that of its write, wherever the entry lies now."""
    numbers = {b"%d" % n: db.put(b"%d" % n, b"v") for n in range(50)}
    db.compact()
    assert {key: db.sequence_of(key) for key in numbers} == numbers


def test_a_condition_may_name_another_family(db: replicad.Database) -> None:
    """A condition may name another family than the batch writes to; one that is not there is an error."""
    family = db.create_family("other")
    db.put(b"a", b"1", family=family)
    assert db.write(one_put(b"a", b"2"), [(b"a", None), (b"a", b"1", family)])
    with pytest.raises(ConditionFailed):
        db.write(one_put(b"a", b"3"), [(b"a", b"2", family)])
    with pytest.raises(replicad.NotFoundError):
        db.write(one_put(b"a", b"3"), [(b"a", None, 99)])
    assert db.get(b"a") == b"2"


def test_other_expectations_are_refused(db: replicad.Database) -> None:
    """What is neither bytes nor a version nor None is a mistake of the caller, and nothing is written."""
    with pytest.raises(replicad.InvalidArgument, match="AtSequence"):
        db.write(one_put(b"a", b""), [(b"a", 7)])  # type: ignore[list-item]
    assert db.appended_sequence == 0


def test_submit_takes_conditions(db: replicad.Database) -> None:
    """A condition of a submitted batch is judged at once, against what is appended."""
    db.submit(one_put(b"a", b"1"))
    with pytest.raises(ConditionFailed) as caught:
        db.submit(one_put(b"a", b"2"), [(b"a", None)])
    assert caught.value.sequence == 1


def test_what_failed_is_visible(tmp_path: Path) -> None:
    """When `write` says what it found instead, that is durable under "sync"."""
    with open_database(tmp_path / "db", small_options(durability="sync")) as db:
        db.submit(one_put(b"a", b"1"))
        with pytest.raises(ConditionFailed):
            db.write(one_put(b"a", b"2"), [(b"a", None)])
        assert db.durable_sequence == db.latest_sequence == 1


def test_counting_beside_each_other(db: replicad.Database) -> None:
    """Threads that increment with a condition and retry lose no increment."""
    db.put(b"n", b"0")

    def count() -> None:
        for _ in range(100):
            while True:
                read = db.newest.get(b"n")
                assert read is not None
                try:
                    db.write(one_put(b"n", b"%d" % (int(read) + 1)), [(b"n", read)])
                    break
                except ConditionFailed:
                    continue

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.get(b"n") == b"400"


def test_what_is_not_durable_yet_counts(tmp_path: Path) -> None:
    """A condition is about what the next batch follows, which under "sync" no reader sees yet."""
    fs, gate = FaultyFileSystem(), Gate()
    with open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs)) as db:
        fs.on_sync = gate
        db.submit(one_put(b"a", b"1"))
        assert gate.reached.wait(10)
        try:
            assert db.get(b"a") is None
            with pytest.raises(ConditionFailed):
                db.submit(one_put(b"a", b"2"), [(b"a", None)])
            assert db.submit(one_put(b"a", b"3"), [(b"a", b"1")]).sequence == 2
        finally:
            gate.open.set()


def test_iterables_that_use_the_database(db: replicad.Database) -> None:
    """Batches and conditions may come from generators that read or write: they run before the write lock."""

    def items() -> Iterator[tuple[bytes, bytes]]:
        for name in (b"a", b"b"):
            db.put(b"asked", name)
            yield name, b"%d" % db.position.sequence

    def conditions() -> Iterator[tuple[bytes, bytes | None]]:
        yield b"a", db.get(b"a") if db.position.sequence else None

    def write() -> None:
        db.submit_many(items())
        db.write(one_put(b"c", b""), conditions=conditions())

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(10)
    assert not writer.is_alive()
    assert list(db.scan()) == [(b"a", b"1"), (b"asked", b"b"), (b"b", b"2"), (b"c", b"")]
