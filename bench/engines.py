"""The two engines under one small interface, set up alike.

Both: 16 KiB blocks with LZ4, a bloom filter of 10 bits a key, the same block cache, three memtables of the
same size, the log written but not synced. The loops stand in each class, so that neither pays for the
interface.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import replicad
from replicad.options import Options

BLOCK_BYTES = 16 << 10
CACHE_BYTES = 256 << 20
MEMTABLE_BYTES = 64 << 20
MEMTABLES = 3
TABLE_BYTES = 64 << 20
BLOOM_BITS = 10

Pair = tuple[bytes, bytes]


class Engine(Protocol):
    """An open database."""

    name: str

    def put_each(self, pairs: Iterable[Pair]) -> None: ...
    def put_batches(self, batches: Iterable[list[Pair]]) -> None: ...
    def settle(self) -> None:
        """Flushes and compacts everything, so that reads do not depend on what ran before."""
        ...

    def get_each(self, keys: list[bytes]) -> list[bytes | None]: ...
    def multi_get_each(self, groups: list[list[bytes]]) -> list[list[bytes | None]]: ...
    def scan_all(self) -> Iterator[Pair]: ...
    def scan_from(self, start: bytes, count: int) -> list[Pair]: ...
    def close(self) -> None: ...


class Replicad:
    """Ours, embedded, with durability "async"."""

    name = "replicad"

    def __init__(self, path: Path) -> None:
        self._db = replicad.open(
            path,
            Options(
                durability="async",
                block_bytes=BLOCK_BYTES,
                block_cache_bytes=CACHE_BYTES,
                memtable_bytes=MEMTABLE_BYTES,
                memtables_max=MEMTABLES,
                table_bytes=TABLE_BYTES,
                bloom_bits_per_key=BLOOM_BITS,
            ),
        )

    def put_each(self, pairs: Iterable[Pair]) -> None:
        put = self._db.put
        for key, value in pairs:
            put(key, value)

    def put_batches(self, batches: Iterable[list[Pair]]) -> None:
        write = self._db.write
        for pairs in batches:
            batch = replicad.WriteBatch()
            put = batch.put
            for key, value in pairs:
                put(key, value)
            write(batch)

    def settle(self) -> None:
        self._db.flush()
        self._db.compact()

    def get_each(self, keys: list[bytes]) -> list[bytes | None]:
        get = self._db.get
        return [get(key) for key in keys]

    def multi_get_each(self, groups: list[list[bytes]]) -> list[list[bytes | None]]:
        multi_get = self._db.multi_get
        return [multi_get(keys) for keys in groups]

    def scan_all(self) -> Iterator[Pair]:
        return iter(self._db.scan())

    def scan_from(self, start: bytes, count: int) -> list[Pair]:
        return list(self._db.scan(start, limit=count))

    def close(self) -> None:
        self._db.close()


class Rocksdict:
    """RocksDB through rocksdict, set to what `Replicad` uses; raw bytes, no sync."""

    name = "rocksdict"

    def __init__(self, path: Path) -> None:
        import rocksdict

        self._rocksdict = rocksdict
        table = rocksdict.BlockBasedOptions()
        table.set_block_size(BLOCK_BYTES)
        table.set_bloom_filter(BLOOM_BITS, False)
        table.set_block_cache(rocksdict.Cache(CACHE_BYTES))
        options = rocksdict.Options(raw_mode=True)
        options.set_block_based_table_factory(table)
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        options.set_write_buffer_size(MEMTABLE_BYTES)
        options.set_max_write_buffer_number(MEMTABLES)
        options.set_target_file_size_base(TABLE_BYTES)
        self._db = rocksdict.Rdict(str(path), options)

    def put_each(self, pairs: Iterable[Pair]) -> None:
        put = self._db.put
        for key, value in pairs:
            put(key, value)

    def put_batches(self, batches: Iterable[list[Pair]]) -> None:
        write, make = self._db.write, self._rocksdict.WriteBatch
        for pairs in batches:
            batch = make(raw_mode=True)
            put = batch.put
            for key, value in pairs:
                put(key, value)
            write(batch)

    def settle(self) -> None:
        self._db.flush()
        self._db.compact_range(None, None)

    def get_each(self, keys: list[bytes]) -> list[bytes | None]:
        get = self._db.get
        return [get(key) for key in keys]

    def multi_get_each(self, groups: list[list[bytes]]) -> list[list[bytes | None]]:
        get = self._db.get
        return [get(keys) for keys in groups]

    def scan_all(self) -> Iterator[Pair]:
        return iter(self._db.items())

    def scan_from(self, start: bytes, count: int) -> list[Pair]:
        return list(islice(self._db.items(from_key=start), count))

    def close(self) -> None:
        self._db.close()


ENGINES: tuple[type[Replicad] | type[Rocksdict], ...] = (Replicad, Rocksdict)


def versions() -> str:
    """Both versions, for the head of the table."""
    return ", ".join(f"{kind.name} {importlib.metadata.version(kind.name)}" for kind in ENGINES)
