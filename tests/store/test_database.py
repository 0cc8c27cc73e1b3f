"""The public face: reads, writes, scans, snapshots, and what they refuse."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import replicad
from replicad import WriteBatch
from tests.support.stores.small import fill, small_options


@pytest.fixture
def db(tmp_path: Path) -> Iterator[replicad.Database]:
    with replicad.open(tmp_path / "db", small_options()) as database:
        yield database


def test_empty_keys_and_values(db: replicad.Database) -> None:
    """Empty keys and empty values are values like others, and absence is None."""
    db.put(b"", b"")
    assert db.get(b"") == b""
    assert db.get(b"x") is None
    assert list(db.scan()) == [(b"", b"")]


def test_each_operation_takes_one_sequence_number(db: replicad.Database) -> None:
    """Each operation takes one number; annotations take none, but a batch of them alone takes one."""
    assert db.put(b"a", b"1") == 1
    assert db.delete(b"nothing") == 2
    batch = WriteBatch()
    batch.put(b"b", b"2")
    batch.put_log_data(b"note")
    batch.put(b"c", b"3")
    assert db.write(batch) == 4
    alone = WriteBatch()
    alone.put_log_data(b"only this")
    assert db.write(alone) == 5
    assert db.latest_sequence == 5


def test_an_empty_batch_is_refused(db: replicad.Database) -> None:
    """A batch with nothing in it is refused and writes nothing."""
    with pytest.raises(replicad.InvalidArgument):
        db.write(WriteBatch())
    assert db.latest_sequence == 0


def test_a_key_over_its_limit_is_refused_before_anything_is_written(db: replicad.Database) -> None:
    """A key over 64 KiB is refused before anything is written."""
    with pytest.raises(replicad.InvalidArgument, match="key"):
        db.put(bytes(64 * 1024 + 1), b"")
    assert db.latest_sequence == 0
    assert db.put(bytes(64 * 1024), b"") == 1


def test_a_value_larger_than_memtable_block_and_segment_comes_back(db: replicad.Database) -> None:
    """A value larger than memtable, block and segment comes back whole, before and after flush."""
    value = bytes(range(256)) * 4096 * 3
    db.put(b"large", value)
    assert db.get(b"large") == value
    db.flush()
    assert db.get(b"large") == value
    assert [update.batch.operations[0].value for update in db.get_updates_since(1)] == [value]


def test_scans_honour_bounds_prefix_limit_and_direction(db: replicad.Database) -> None:
    """Scans honour start, end, prefix, limit and direction, across memtable and tables."""
    for number in range(10):
        db.put(b"a%d" % number, b"%d" % number)
    db.flush()
    for number in range(10):
        db.put(b"b%d" % number, b"%d" % number)
    db.delete(b"a3")
    keys = [key for key, _ in db.scan()]
    assert keys == [b"a%d" % n for n in range(10) if n != 3] + [b"b%d" % n for n in range(10)]
    assert [key for key, _ in db.scan(reverse=True)] == keys[::-1]
    assert [key for key, _ in db.scan(b"a8", b"b2")] == [b"a8", b"a9", b"b0", b"b1"]
    assert [key for key, _ in db.scan(prefix=b"b", limit=2)] == [b"b0", b"b1"]
    assert [key for key, _ in db.scan(prefix=b"b", limit=2, reverse=True)] == [b"b9", b"b8"]
    assert list(db.scan(prefix=b"zz")) == []
    assert list(db.scan(limit=0)) == []


def test_a_scan_of_a_prefix_of_ff_bytes_ends_with_the_keys(db: replicad.Database) -> None:
    """A prefix of 0xff bytes has no successor, and its scan ends with the keys."""
    db.put(b"\xff\xff1", b"1")
    db.put(b"\xfe", b"2")
    assert [key for key, _ in db.scan(prefix=b"\xff\xff")] == [b"\xff\xff1"]


def test_long_scan_with_limit(db: replicad.Database) -> None:
    """A limit larger than a page is honoured to the pair."""
    fill(db, 3000, value=b"")
    assert len(list(db.scan(limit=2500))) == 2500
    assert len(list(db.scan(limit=5000))) == 3000


def test_snapshot_survives_compaction(db: replicad.Database) -> None:
    """A snapshot sees its sequence number whatever is overwritten, flushed and merged afterwards."""
    fill(db, 300)
    with db.snapshot() as snapshot:
        before = list(snapshot.scan())
        for number in range(300):
            db.put(b"key-%06d" % number, b"new")
        for number in range(0, 300, 2):
            db.delete(b"key-%06d" % number)
        db.compact()
        assert list(snapshot.scan()) == before
        assert snapshot.get(b"key-000000") == b"v" * 100 + b"-0"
        assert db.get(b"key-000000") is None
    with pytest.raises(replicad.InvalidArgument):
        snapshot.get(b"key-000000")


def test_iterator_outlives_compaction(db: replicad.Database) -> None:
    """A scan begun before a compaction goes on over the tables that it began with."""
    fill(db, 2000)
    pairs = db.scan()
    first = [next(pairs) for _ in range(10)]
    for number in range(2000):
        db.delete(b"key-%06d" % number)
    db.compact()
    assert len(first) + sum(1 for _ in pairs) == 2000
    assert list(db.scan()) == []


def test_a_closed_database_refuses_everything(tmp_path: Path) -> None:
    """A closed database refuses everything with its own error, and closing twice is fine."""
    database = replicad.open(tmp_path / "db", small_options())
    database.put(b"a", b"1")
    database.close()
    database.close()
    for call in (lambda: database.get(b"a"), lambda: database.put(b"a", b""), lambda: database.snapshot()):
        with pytest.raises(replicad.ClosedError):
            call()


def test_a_locked_directory_says_which_process_holds_it(tmp_path: Path) -> None:
    """Opening twice says which process holds the directory."""
    with replicad.open(tmp_path / "db"), pytest.raises(replicad.LockedError, match="process"):
        replicad.open(tmp_path / "db")


def test_a_read_only_opening_reads_beside_the_writer(tmp_path: Path) -> None:
    """A read-only opening sees what was written, beside the writer, and writes nothing."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 500)
        with replicad.open(tmp_path / "db", small_options(), read_only=True) as reader:
            assert reader.digest() == database.digest()
            with pytest.raises(replicad.ReadOnlyError):
                reader.put(b"a", b"")
    with pytest.raises(replicad.NotFoundError):
        replicad.open(tmp_path / "nothing", read_only=True)
    assert not (tmp_path / "nothing").exists()


async def test_submit_is_awaitable(db: replicad.Database) -> None:
    """A submitted batch can be awaited, and is visible when that returns."""
    commits = []
    for number in range(100):
        batch = WriteBatch()
        batch.put(b"k%d" % number, b"v")
        commits.append(db.submit(batch))
    async with asyncio.timeout(10):
        for commit in commits:
            await commit
    assert db.latest_sequence == 100
    assert commits[7].first_sequence == commits[7].sequence == 8


def test_writers_in_many_threads(tmp_path: Path) -> None:
    """Writers of many threads under "sync" share syncs, and no number is given twice."""
    with replicad.open(tmp_path / "db", small_options(durability="sync")) as database:
        numbers: list[list[int]] = [[] for _ in range(8)]

        def write(index: int) -> None:
            for turn in range(40):
                numbers[index].append(database.put(b"%d-%d" % (index, turn), b"v"))
                assert database.durable_sequence >= numbers[index][-1]

        threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(number for some in numbers for number in some) == list(range(1, 321))
        assert sum(1 for _ in database.scan()) == 320


def test_the_digest_depends_on_the_pairs_only(tmp_path: Path) -> None:
    """The digest depends on the pairs only, not on how they are spread over memtable and levels."""
    with (
        replicad.open(tmp_path / "one", small_options()) as one,
        replicad.open(tmp_path / "two", small_options()) as two,
    ):
        fill(one, 1000)
        one.compact()
        fill(two, 1000)
        assert one.digest() == two.digest()
        two.put(b"key-000001", b"other")
        assert one.digest()[1] != two.digest()[1]
