"""What the store refuses: with an error that names the limit or the reason, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import replicad
from replicad import WriteBatch, kernels
from replicad.options import ANNOTATION_BYTES_MAX, BATCH_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX
from replicad.store.manifest.file import MAGIC as MANIFEST_MAGIC
from tests.support.stores.small import fill, small_options


@pytest.fixture
def db(tmp_path: Path) -> Iterator[replicad.Database]:
    with replicad.open(tmp_path / "db", small_options()) as database:
        yield database


def test_a_key_over_its_limit_is_refused_by_every_way_of_writing(db: replicad.Database) -> None:
    """A key over its limit is refused by every way of writing, and the limit is named."""
    long = bytes(KEY_BYTES_MAX + 1)
    batch = WriteBatch()
    for write in (
        lambda: db.put(long, b""),
        lambda: db.delete(long),
        lambda: db.submit_put(long, b""),
        lambda: db.submit_many([(b"fine", b""), (long, b"")]),
        lambda: batch.put(long, b""),
        lambda: batch.delete(long),
    ):
        with pytest.raises(replicad.InvalidArgument, match=str(KEY_BYTES_MAX)):
            write()
    assert batch.count == 0
    assert db.appended_sequence == 0
    assert db.put(long[1:], b"") == 1


def test_a_value_over_its_limit_is_refused(db: replicad.Database) -> None:
    """A value over its limit is refused, and the next write takes the first number."""
    long = bytes(VALUE_BYTES_MAX + 1)
    with pytest.raises(replicad.InvalidArgument, match=str(VALUE_BYTES_MAX)):
        db.put(b"a", long)
    with pytest.raises(replicad.InvalidArgument, match=str(VALUE_BYTES_MAX)):
        WriteBatch().put(b"a", long)
    assert db.put(b"a", b"") == 1


def test_what_would_make_a_batch_too_large_is_refused(db: replicad.Database) -> None:
    """What would make a batch or an annotation too large is refused, and the batch stays what it was."""
    batch = WriteBatch()
    with pytest.raises(replicad.InvalidArgument, match=str(ANNOTATION_BYTES_MAX)):
        batch.put_log_data(bytes(ANNOTATION_BYTES_MAX + 1))
    batch.put_log_data(bytes(ANNOTATION_BYTES_MAX))
    value = bytes(VALUE_BYTES_MAX)
    batch.put(b"a", value)
    size = batch.size
    with pytest.raises(replicad.InvalidArgument, match=str(BATCH_BYTES_MAX)):
        batch.put(b"b", value)
    assert (batch.size, batch.count, batch.annotations) == (size, 1, 1)


@pytest.mark.parametrize(
    "add",
    [
        lambda batch: batch.add_create_family(1, b"f"),
        lambda batch: batch.add_drop_family(1),
        lambda batch: batch.add_epoch(bytes(40)),
        lambda batch: batch.add_mark(bytes(21)),
    ],
)
def test_control_operations_are_refused_in_an_ordinary_batch(
    db: replicad.Database, add: Callable[[WriteBatch], None]
) -> None:
    """What changes the database itself is refused in an ordinary batch, as copied updates may hold it."""
    batch = one_put()
    add(batch)
    for write in (db.write, db.submit, lambda batch: db.submit_many([(b"b", b""), batch])):
        with pytest.raises(replicad.InvalidArgument, match="submit_mark"):
            write(batch)
    assert db.appended_sequence == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda db: db.get(b"a"),
        lambda db: db.multi_get([b"a"]),
        lambda db: db.contains(b"a"),
        lambda db: db.sequence_of(b"a"),
        lambda db: db.newest.get(b"a"),
        lambda db: db.scan(),
        lambda db: db.snapshot(),
        lambda db: db.digest(),
        lambda db: db.put(b"a", b""),
        lambda db: db.delete(b"a"),
        lambda db: db.write(one_put()),
        lambda db: db.submit(one_put()),
        lambda db: db.flush(),
        lambda db: db.compact(),
        lambda db: db.cut(),
        lambda db: db.get_live_files(),
        lambda db: db.get_live_files(flush=False),
        lambda db: db.disable_file_deletions(),
        lambda db: db.enable_file_deletions(),
        lambda db: db.refresh(),
        lambda db: db.get_updates_since(1),
        lambda db: db.read_log(1),
        lambda db: db.sequence_at_time(0),
        lambda db: db.create_checkpoint(db.path.with_name("copy")),
        lambda db: db.create_family("x"),
    ],
)
def test_every_use_of_a_closed_database_is_closed_error(
    tmp_path: Path, use: Callable[[replicad.Database], object]
) -> None:
    """Every use of a closed database is ClosedError."""
    db = replicad.open(tmp_path / "db", small_options())
    db.close()
    db.close()
    with pytest.raises(replicad.ClosedError, match="the database is closed"):
        use(db)


def one_put() -> WriteBatch:
    batch = WriteBatch()
    batch.put(b"a", b"")
    return batch


def test_the_second_opening_says_who_uses_the_directory(db: replicad.Database) -> None:
    """The second opening says that, and by whom, the directory is in use."""
    import os

    with pytest.raises(replicad.LockedError, match=f"process {os.getpid()}"):
        replicad.open(db.path)


def test_a_manifest_of_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    """A manifest of a newer format names the file, its version, and the version that can be read."""
    with replicad.open(tmp_path / "db", small_options()) as db:
        fill(db, 10)
    (path,) = (tmp_path / "db").glob("MANIFEST-*")
    data = bytearray(path.read_bytes())
    assert data[:8] == MANIFEST_MAGIC
    data[8] += 1
    data[28:32] = kernels.crc32c(bytes(data[:28])).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(replicad.NewerFormatError, match=rf"{path.name}.* version 2; .* up to 1"):
        replicad.open(tmp_path / "db")


def test_a_segment_of_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    """A log segment of a newer format is refused likewise."""
    with replicad.open(tmp_path / "db", small_options()) as db:
        fill(db, 10)
    (path,) = (tmp_path / "db" / "wal").glob("*.log")
    data = bytearray(path.read_bytes())
    data[8] += 1
    data[60:64] = kernels.crc32c(bytes(data[:60])).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(replicad.NewerFormatError, match=rf"{path.name}.* version 2; .* up to 1"):
        replicad.open(tmp_path / "db")


def test_an_empty_path_is_not_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set must not make a database wherever the program runs."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(replicad.InvalidArgument, match="empty"):
        replicad.open("")
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_of_another_database_is_refused(tmp_path: Path) -> None:
    """It would answer from there, as if that were here."""
    with replicad.open(tmp_path / "one") as one, replicad.open(tmp_path / "two") as two:
        snapshot = two.snapshot()
        for read in (
            lambda: one.get(b"k", snapshot=snapshot),
            lambda: one.multi_get([b"k"], snapshot=snapshot),
            lambda: one.scan(snapshot=snapshot),
            lambda: one.digest(snapshot),
        ):
            with pytest.raises(replicad.InvalidArgument, match="another database"):
                read()
