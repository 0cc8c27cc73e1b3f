"""Backups: the first against `cp -r` and `sync`, those after it by what changed, many workers against one.

The database is settled and incompressible, and a cut of it is held, so that every round copies the same
bytes. `cp` copies a checkpoint of the same cut. Both read from the page cache and end when all is on the
medium.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import replicad
from bench.measure import ROUNDS, timed
from bench.report import Result, heading, note, show
from replicad import BackupEngine, BackupEngineOptions, Options
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.target import Target
from replicad.env import Env
from replicad.env.filesystem import Bytes

MB = 1_000_000
VALUE_BYTES = 4000
CHANGES = 9
PART = 100
"""One in this many keys changes between two backups."""
REQUEST_SECONDS = 0.020
SMALL_DATA_BYTES = 50 * MB


class Distant:
    """A target whose every request takes 20 ms longer."""

    def __init__(self, inner: Target) -> None:
        self._inner = inner
        self.url = inner.url

    def list(self, prefix: str) -> dict[str, int]:
        time.sleep(REQUEST_SECONDS)
        return self._inner.list(prefix)

    def size(self, name: str) -> int | None:
        time.sleep(REQUEST_SECONDS)
        return self._inner.size(name)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        time.sleep(REQUEST_SECONDS)
        return self._inner.read(name, offset, length)

    def write(self, name: str, chunks: Iterable[Bytes]) -> None:
        time.sleep(REQUEST_SECONDS)
        self._inner.write(name, chunks)

    def delete(self, names: Iterable[str]) -> None:
        time.sleep(REQUEST_SECONDS)
        self._inner.delete(names)

    def remove_unfinished(self, age_seconds: float) -> int:
        return self._inner.remove_unfinished(age_seconds)


def show_backup(data_bytes: int, seed: int, directory: Path) -> None:
    source = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=directory) as path:
        work = Path(path)
        _show_first_and_following(data_bytes, source, work)
        heading(f"{data_bytes // PART // MB} MB more, size of the database", "a quarter")
        show(_incremental_by_size(data_bytes, source, work))
        heading("a target 20 ms away, files/s", "1 worker")
        show(_workers(source, work))


def _show_first_and_following(data_bytes: int, source: random.Random, work: Path) -> None:
    with replicad.open(work / "db", Options(durability="async", compression="none")) as database:
        keys = _fill(database, data_bytes, source)
        heading(f"first backup of {data_bytes // MB} MB", "cp, sync")
        show(_first(database, work))
        engine = BackupEngine(work / "backups")
        engine.create_backup(database, flush_before_backup=True)
        copied: list[tuple[int, int, float]] = []
        tables = engine.get_backup(1).shared
        for _ in range(CHANGES):
            _change(database, keys, source)
            took, info = timed(lambda: engine.create_backup(database, flush_before_backup=True))
            now = engine.get_backup(info.id).shared
            new = sum(size for name, size in now.items() if name not in tables)
            copied.append((info.copied_bytes, new, took))
            tables = now
        ratios = [sent / new for sent, new, _ in copied]
        seconds = statistics.median(took for _, _, took in copied)
        each = statistics.median(sent for sent, _, _ in copied) / MB
        note(
            f"{CHANGES} more, 1% changed between them: {each:.1f} MB and {seconds:.2f} s each; "
            f"copied / new tables {min(ratios):.3f} to {max(ratios):.3f}"
        )
        infos = engine.get_backup_info()
        files = {file.name: file.size_bytes for info in infos for file in engine.get_backup(info.id).files}
        there = sum(size for name, size in engine.target.list("").items() if not name.startswith("meta/"))
        note(
            f"{len(infos)} backups of {sum(info.size_bytes for info in infos) / MB:,.0f} MB take "
            f"{there / MB:,.0f} MB; their files, each once, are {sum(files.values()) / MB:,.0f} MB"
        )


def _first(database: replicad.Database, work: Path) -> Result:
    ours: list[float] = []
    theirs: list[float] = []
    with database.cut() as cut:
        checkpoint = database.create_checkpoint(work / "checkpoint").path
        size = sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())
        for number in range(ROUNDS):
            copy, backups = work / f"copy-{number}", work / f"first-{number}"
            for kind in ("cp", "ours") if number % 2 else ("ours", "cp"):
                subprocess.run(["sync"], check=True)
                if kind == "cp":
                    took, _ = timed(lambda copy=copy: _copy(checkpoint, copy))  # type: ignore[misc]
                    theirs.append(size / took / MB)
                else:
                    took, info = timed(lambda to=backups: BackupEngine(to).create_backup(cut))  # type: ignore[misc]
                    ours.append(info.size_bytes / took / MB)
            shutil.rmtree(copy)
            shutil.rmtree(backups)
    shutil.rmtree(checkpoint)
    return Result(f"{size / MB:,.0f} MB", statistics.median(ours), statistics.median(theirs), " MB/s")


def _copy(checkpoint: Path, to: Path) -> None:
    subprocess.run(["cp", "-r", str(checkpoint), str(to)], check=True)
    subprocess.run(["sync"], check=True)


def _incremental_by_size(data_bytes: int, source: random.Random, work: Path) -> Result:
    """Milliseconds of a backup after the same change, in the whole database and in a quarter of one."""
    seconds: dict[int, float] = {}
    for size in (data_bytes, data_bytes // 4):
        with replicad.open(work / f"db-{size}", Options(durability="async", compression="none")) as database:
            keys = _fill(database, size, source)
            engine = BackupEngine(work / f"backups-{size}")
            engine.create_backup(database, flush_before_backup=True)
            took = []
            for _ in range(ROUNDS):
                batch = replicad.WriteBatch()
                for key in range(data_bytes // PART // VALUE_BYTES):
                    batch.put(b"new-%010d" % (keys + key), source.randbytes(VALUE_BYTES))
                database.write(batch)
                database.flush()
                with database.cut() as cut:
                    took.append(timed(lambda cut=cut, engine=engine: engine.create_backup(cut))[0])  # type: ignore[misc]
                keys += keys
            seconds[size] = statistics.median(took) * 1000
        shutil.rmtree(work / f"db-{size}")
        shutil.rmtree(work / f"backups-{size}")
    large, small = seconds.values()
    return Result("next backup", large, small, " ms", less_is_better=True)


def _workers(source: random.Random, work: Path) -> Result:
    """Files a second, of a database of many small tables."""
    options = Options(durability="async", compression="none", memtable_bytes=64 * 1024, table_bytes=16 * 1024)
    rates: dict[int, list[float]] = {16: [], 1: []}
    with replicad.open(work / "small", options) as database:
        _fill(database, SMALL_DATA_BYTES, source)
        database.compact()
        with database.cut() as cut:
            for number in range(ROUNDS):
                for workers, seen in rates.items():
                    target = Distant(DirectoryTarget(Env(), work / f"far-{number}-{workers}", sync=False))
                    engine = BackupEngine(target, BackupEngineOptions(max_background_operations=workers))
                    took, info = timed(lambda engine=engine: engine.create_backup(cut))  # type: ignore[misc]
                    seen.append(info.copied_files / took)
    ours, theirs = (statistics.median(seen) for seen in rates.values())
    return Result("16 workers", ours, theirs, "/s")


def _fill(database: replicad.Database, data_bytes: int, source: random.Random) -> int:
    """Returns how many keys; settled afterwards."""
    count = data_bytes // VALUE_BYTES
    for begin in range(0, count, 500):
        batch = replicad.WriteBatch()
        for number in range(begin, min(begin + 500, count)):
            batch.put(b"key-%010d" % number, source.randbytes(VALUE_BYTES))
        database.write(batch)
    database.compact()
    return count


def _change(database: replicad.Database, keys: int, source: random.Random) -> None:
    """Another 1% of the values, in a row."""
    count = keys // PART
    first = source.randrange(keys - count)
    batch = replicad.WriteBatch()
    for number in range(first, first + count):
        batch.put(b"key-%010d" % number, source.randbytes(VALUE_BYTES))
    database.write(batch)
