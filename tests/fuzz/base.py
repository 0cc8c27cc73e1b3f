"""A small database in memory, the same every time: what a fuzzed file is put into, and what seeds are of."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from replicad import Options, WriteBatch
from replicad.env import Env
from replicad.store.database import Database, open_database
from tests.support.files.memory_filesystem import Image, MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env

DATA = Path("/data")
OPTIONS = Options(durability="async", block_bytes=512, memtable_bytes=1 << 16, block_cache_bytes=1 << 16)


@cache
def image() -> Image:
    """One table of a few blocks, a second column family, an archived segment, and log after the table."""
    fs = MemoryFileSystem()
    runner = InlineRunner()
    with open_database(DATA, OPTIONS, env=inline_env(fs, runner)) as database:
        orders = database.create_family("orders")
        for number in range(40):
            database.put(b"key-%03d" % number, b"value %d " % number * 4)
        database.flush()
        _write_some(database, orders)
    return fs.image()


@cache
def log_image() -> Image:
    """A database that is nothing but its log, as a kill leaves it."""
    fs = MemoryFileSystem()
    runner = InlineRunner()
    database = open_database(DATA, OPTIONS, env=inline_env(fs, runner))
    _write_some(database, database.create_family("orders"))
    runner.run_all()
    left = fs.image()
    database.close()
    return left


def _write_some(database: Database, orders: object) -> None:
    batch = WriteBatch()
    batch.put(b"a", b"1")
    batch.put(b"b", b"2" * 100)
    batch.delete(b"a")
    batch.put_log_data(b"an annotation")
    database.write(batch)
    database.put(b"7", b"paid", family=orders)  # type: ignore[arg-type]
    database.delete(b"b")


def name_of(image: Image, pattern: str) -> str:
    """The one path in it that ends like the pattern."""
    (found,) = (name for name in image if Path(name).match(pattern))
    return found


def with_file(image: Image, name: str, data: bytes) -> Image:
    return {**image, name: data}


def env_of(image: Image) -> Env:
    return inline_env(MemoryFileSystem(image), InlineRunner())
