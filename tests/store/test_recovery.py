"""Opening after a crash, a cut, a flip: the first n batches or an error, never anything else."""

from __future__ import annotations

import errno
import random
import shutil
from pathlib import Path

import pytest

import replicad
from replicad.env import Env, LocalFileSystem, ReadFile
from replicad.store.core import Role
from replicad.store.database import open_database
from replicad.store.wal.segment import HEADER_BYTES
from tests.support.stores.small import as_after_kill, fill, small_options


def log_files(directory: Path) -> list[Path]:
    return sorted((directory / "wal").glob("*.log"))


def test_kill_at_any_moment(tmp_path: Path) -> None:
    """What a kill leaves opens with everything acknowledged, however often it happens."""
    database = replicad.open(tmp_path / "db", small_options(durability="sync", table_bytes=64 * 1024))
    for turn in range(6):
        fill(database, 150, start=turn * 150)
        left = as_after_kill(tmp_path / "db", tmp_path / f"left-{turn}")
        with replicad.open(left, small_options()) as again:
            assert sum(1 for _ in again.scan()) == (turn + 1) * 150
            assert again.latest_sequence == (turn + 1) * 150
            assert again.position == database.position
            again.put(b"zzz", b"")
    database.close()


def test_cut_at_every_byte(tmp_path: Path) -> None:
    """A log cut anywhere in its last frames opens with a prefix of whole batches, and says what it cut."""
    database = replicad.open(tmp_path / "db", small_options())
    database.put(b"first", b"1")
    database.wait_durable(1)
    left = as_after_kill(tmp_path / "db", tmp_path / "left")
    whole_first = log_files(left)[0].stat().st_size
    for number in range(3):
        batch = replicad.WriteBatch()
        batch.put(b"k%d" % number, b"v")
        batch.put_log_data(b"note")
        database.write(batch)
    shutil.rmtree(left)
    left = as_after_kill(tmp_path / "db", tmp_path / "left")
    database.close()
    segment = log_files(left)[0]
    content = segment.read_bytes()
    frame = (len(content) - whole_first) // 3
    for size in range(whole_first, len(content)):
        state = tmp_path / f"cut-{size}"
        shutil.copytree(left, state)
        (state / "wal" / segment.name).write_bytes(content[:size])
        with replicad.open(state, small_options()) as again:
            whole = (size - whole_first) // frame
            assert again.latest_sequence == 1 + whole
            assert [key for key, _ in again.scan()] == [b"first"] + [b"k%d" % n for n in range(whole)]
            torn = (size - whole_first) % frame != 0
            assert bool(again.notes) == torn
            assert bool(list((state / "wal").glob("*.torn"))) == torn
            again.put(b"after", b"")
        with replicad.open(state, small_options()) as again:
            assert again.latest_sequence == 2 + whole and not again.notes
        shutil.rmtree(state)


def test_flip_in_every_kind_of_file(tmp_path: Path) -> None:
    """A flipped byte in a cleanly closed database is an error naming file and offset, or harmless."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 60)
        database.flush()
        fill(database, 10, start=60)
        expected = list(database.scan())
    seed = 20
    print(f"seed {seed}")
    chance = random.Random(seed)
    named: set[str] = set()
    for path in sorted((tmp_path / "db").rglob("*")):
        if not path.is_file() or path.name == "LOCK":
            continue
        content = path.read_bytes()
        spots = range(len(content)) if len(content) < 200 else sorted(chance.sample(range(len(content)), 150))
        for offset in spots:
            flipped = bytearray(content)
            flipped[offset] ^= 1 << chance.randrange(8)
            path.write_bytes(flipped)
            try:
                with open_database(tmp_path / "db", small_options(), read_only=True) as again:
                    assert list(again.scan()) == expected, (path, offset)
            except replicad.CorruptionError as error:
                assert error.path is not None and error.offset is not None, (path, offset, error)
                assert error.path.name == path.name
                named.add(path.suffix or path.name.split("-")[0])
            except replicad.NotFoundError:
                pytest.fail(f"{path}: offset {offset}: not found")
        path.write_bytes(content)
    assert named == {".sst", ".log", "MANIFEST", "CURRENT"}


def test_damage_below_the_bound_stops_a_primary(tmp_path: Path) -> None:
    """Damage below what a later frame calls durable stops a primary; a replica cuts back."""
    database = replicad.open(tmp_path / "db", small_options(durability="sync"))
    for number in range(10):
        database.put(b"k%d" % number, b"v")
    left = as_after_kill(tmp_path / "db", tmp_path / "left")
    database.close()
    segment = log_files(left)[0]
    content = bytearray(segment.read_bytes())
    middle = 64 + (len(content) - 64) // 10 * 4 + 20
    content[middle] ^= 1
    segment.write_bytes(content)
    with pytest.raises(replicad.CorruptionError) as caught:
        replicad.open(left, small_options())
    assert caught.value.path == segment and caught.value.offset is not None
    with open_database(left, small_options(), role="replica") as replica:
        assert replica.latest_sequence == 4
        assert replica.notes


def test_missing_segment_is_a_gap(tmp_path: Path) -> None:
    """A segment that is missing between manifest and tail is corruption, not a shorter history."""
    options = small_options(memtable_bytes=8 << 20, segment_bytes=4096)
    with replicad.open(tmp_path / "db", options) as database:
        fill(database, 300)
    files = log_files(tmp_path / "db")
    assert len(files) > 3
    files[1].unlink()
    with pytest.raises(replicad.CorruptionError):
        replicad.open(tmp_path / "db", options)


def test_missing_tail_is_noticed(tmp_path: Path) -> None:
    """After a clean close the manifest knows where the log ended, so a lost last segment is corruption."""
    options = small_options(memtable_bytes=8 << 20, segment_bytes=4096)
    with replicad.open(tmp_path / "db", options) as database:
        fill(database, 300)
    log_files(tmp_path / "db")[-1].unlink()
    with pytest.raises(replicad.CorruptionError):
        replicad.open(tmp_path / "db", options)


def test_tables_without_current_are_not_taken_for_an_empty_directory(tmp_path: Path) -> None:
    """A directory with tables but without CURRENT is refused, not taken for an empty one."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 10)
        database.flush()
    (tmp_path / "db" / "CURRENT").unlink()
    with pytest.raises(replicad.CorruptionError, match="CURRENT"):
        replicad.open(tmp_path / "db", small_options())


def test_recovery_of_more_than_memory(tmp_path: Path) -> None:
    """A log larger than the memtable budget is recovered in pieces, and nothing of it is lost."""
    with replicad.open(tmp_path / "db", small_options(memtable_bytes=8 << 20)) as database:
        fill(database, 3000)
        expected = database.digest()
    with replicad.open(tmp_path / "db", small_options()) as again:
        assert again.stats()["tables"] > 0
        assert again.digest() == expected
        assert again.position == database.position


def test_nothing_goes_before_a_new_manifest(tmp_path: Path) -> None:
    """After a kill the last edit may be in the page cache only, and what it drops is needed if it is lost."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 10)
    stray = tmp_path / "db" / "000999.sst"
    stray.write_bytes(b"dropped by the last edit")
    calls: list[str] = []

    class Recorded(LocalFileSystem):
        def rename(self, source: Path, target: Path) -> None:
            super().rename(source, target)
            calls.append(f"rename {target.name}")

        def sync_directory(self, path: Path) -> None:
            super().sync_directory(path)
            calls.append(f"sync {path.name}")

        def unlink(self, path: Path) -> None:
            super().unlink(path)
            calls.append(f"unlink {path.name}")

    open_database(tmp_path / "db", small_options(), env=Env(fs=Recorded())).close()
    gone = calls.index(f"unlink {stray.name}")
    assert "sync db" in calls[calls.index("rename CURRENT") : gone]


def test_an_unreadable_log_is_no_torn_tail(tmp_path: Path) -> None:
    """A disk that cannot read says nothing about what is written there: nothing is cut."""

    class Unreadable(LocalFileSystem):
        """Once."""

        failed = False

        def open(self, path: Path) -> ReadFile:
            file = super().open(path)
            if path.suffix == ".log":
                file.read = self._read  # type: ignore[method-assign]
            return file

        def _read(self, offset: int, length: int, /) -> bytes:
            if offset >= HEADER_BYTES and not self.failed:
                self.failed = True
                raise OSError(errno.EIO, "Input/output error")
            return before[offset : offset + length]

    database = replicad.open(tmp_path / "db", small_options(durability="sync"))
    fill(database, 10)
    left = as_after_kill(tmp_path / "db", tmp_path / "left")
    database.close()
    (segment,) = log_files(left)
    before = segment.read_bytes()
    roles: tuple[Role, ...] = ("owner", "replica")
    for role in roles:
        with pytest.raises(OSError, match="Input/output error"):
            open_database(left, small_options(), env=Env(fs=Unreadable()), role=role)
    assert log_files(left) == [segment] and segment.read_bytes() == before
    with replicad.open(left, small_options()) as again:
        assert again.latest_sequence == 10 and not again.notes


def test_a_torn_tail_is_cut_off_into_a_new_file(tmp_path: Path) -> None:
    """A copy may have the segment as a hard link: what it has stays as it is."""
    database = replicad.open(tmp_path / "db", small_options(durability="sync"))
    fill(database, 10)
    left = as_after_kill(tmp_path / "db", tmp_path / "left")
    database.close()
    (segment,) = log_files(left)
    torn = segment.read_bytes()[:-10]
    segment.write_bytes(torn)
    (tmp_path / "linked.log").hardlink_to(segment)
    with replicad.open(left, small_options()) as again:
        assert again.latest_sequence == 9 and again.notes
    assert (tmp_path / "linked.log").read_bytes() == torn


def test_only_the_log_is_left(tmp_path: Path) -> None:
    """Where the data is gone and the log, which lies elsewhere, is not, no new database begins beside it."""
    options = small_options(wal_dir=tmp_path / "log")
    with replicad.open(tmp_path / "db", options) as database:
        fill(database, 10)
    shutil.rmtree(tmp_path / "db")
    with pytest.raises(replicad.CorruptionError, match=r"CURRENT is missing, but .*\.log"):
        replicad.open(tmp_path / "db", options)
