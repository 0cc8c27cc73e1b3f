"""The two engines under one small interface, set up alike.

Both: LZ4, the log written but not synced, and the same `Sizes`. The loops stand in each class, so that
neither pays for the interface.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import replicad
from bench.sizes import Sizes
from replicad.options import Options

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Background:
    """What ran behind the writes since the database was opened."""

    flushes: int
    compactions: int
    stalled_seconds: float
    """For which writers were held up, so that flush and compaction could follow."""

    def __sub__(self, other: Background) -> Background:
        return Background(
            self.flushes - other.flushes,
            self.compactions - other.compactions,
            self.stalled_seconds - other.stalled_seconds,
        )


class Engine(Protocol):
    """An open database. `put` and `get` are its own methods, for loops that time each call."""

    name: str

    @property
    def put(self) -> Callable[[bytes, bytes], object]: ...
    @property
    def get(self) -> Callable[[bytes], bytes | None]: ...

    def put_each(self, pairs: Iterable[Pair]) -> None: ...
    def put_batches(self, batches: Iterable[list[Pair]]) -> None: ...
    def settle(self) -> None:
        """Flushes and compacts everything, so that reads do not depend on what ran before."""
        ...

    def get_each(self, keys: list[bytes]) -> list[bytes | None]: ...
    def multi_get_each(self, groups: list[list[bytes]]) -> list[list[bytes | None]]: ...
    def scan_all(self) -> Iterator[Pair]: ...
    def scan_from(self, start: bytes, count: int) -> list[Pair]: ...
    def background(self) -> Background: ...
    def busy(self) -> bool:
        """Whether a flush or compaction runs or is due."""
        ...

    def written_bytes(self) -> int:
        """Written to tables by flush and compaction since opening; with `Sizes.statistics` only."""
        ...

    def index_bytes(self) -> int:
        """Memory of indexes and filters."""
        ...

    def close(self) -> None: ...


class Replicad:
    """Ours, embedded, with durability "async"."""

    name = "replicad"

    def __init__(self, path: Path, sizes: Sizes) -> None:
        self._db = replicad.open(
            path,
            Options(
                durability="async",
                block_bytes=sizes.block_bytes,
                block_cache_bytes=sizes.cache_bytes,
                memtable_bytes=sizes.memtable_bytes,
                memtables_max=sizes.memtables,
                table_bytes=sizes.table_bytes,
                level_base_bytes=sizes.level_base_bytes,
                level_multiplier=sizes.level_multiplier,
                bloom_bits_per_key=sizes.bloom_bits,
            ),
        )
        self.put = self._db.put
        self.get = self._db.get

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

    def background(self) -> Background:
        stats = self._db.stats()
        return Background(stats["flushes"], stats["compactions"], stats["stalled_seconds"])

    def busy(self) -> bool:
        stats = self._db.stats()
        return bool(stats["memory"]["sealed_memtables"] or stats["compaction_debt_bytes"])

    def written_bytes(self) -> int:
        stats = self._db.stats()
        return int(stats["flushed_bytes"] + stats["compaction_bytes_written"])

    def index_bytes(self) -> int:
        return int(self._db.stats()["memory"]["index_and_filter_bytes"])

    def close(self) -> None:
        self._db.close()


BUSY_PROPERTIES = (
    "num-running-compactions",
    "compaction-pending",
    "num-running-flushes",
    "mem-table-flush-pending",
)
WRITTEN_TICKERS = ("rocksdb.flush.write.bytes", "rocksdb.compact.write.bytes")


class Rocksdict:
    """RocksDB through rocksdict, set to what `Replicad` uses; raw bytes, no sync."""

    name = "rocksdict"

    def __init__(self, path: Path, sizes: Sizes) -> None:
        # Its annotations ask for less than it gives: untyped here.
        rocksdict: Any = importlib.import_module("rocksdict")
        self._rocksdict = rocksdict
        table = rocksdict.BlockBasedOptions()
        table.set_block_size(sizes.block_bytes)
        table.set_bloom_filter(sizes.bloom_bits, False)
        table.set_block_cache(rocksdict.Cache(sizes.cache_bytes))
        table.set_cache_index_and_filter_blocks(sizes.index_in_cache)
        options = rocksdict.Options(raw_mode=True)
        options.set_block_based_table_factory(table)
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        options.set_write_buffer_size(sizes.memtable_bytes)
        options.set_max_write_buffer_number(sizes.memtables)
        options.set_target_file_size_base(sizes.table_bytes)
        options.set_max_bytes_for_level_base(sizes.level_base_bytes)
        options.set_max_bytes_for_level_multiplier(sizes.level_multiplier)
        if sizes.statistics:
            options.enable_statistics()
        self._options = options
        self._db = rocksdict.Rdict(str(path), options)
        self.put = self._db.put
        self.get = self._db.get

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

    def background(self) -> Background:
        # By the priority of their threads: flushes run in the high one, compactions in the low one.
        jobs = {"High": 0, "Low": 0}
        column = 0
        for line in (self._db.property_value("rocksdb.cfstats") or "").splitlines():
            words = line.split()
            if words[:1] == ["Priority"]:
                column = words.index("Comp(cnt)")
            elif column and words and words[0] in jobs:
                # The files of a level are one word, their size two: "3/0", "1.93 MB".
                jobs[words[0]] = int(words[column + 1])
        return Background(jobs["High"], jobs["Low"], self._stalled_seconds())

    def _stalled_seconds(self) -> float:
        # "Cumulative stall: 00:00:0.000 H:M:S, 0.0 percent"
        for line in (self._db.property_value("rocksdb.dbstats") or "").splitlines():
            if line.startswith("Cumulative stall:"):
                hours, minutes, seconds = line.split()[2].split(":")
                return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        raise LookupError("rocksdb.dbstats does not tell how long writers were stalled")

    def busy(self) -> bool:
        return any(self._db.property_int_value(f"rocksdb.{name}") for name in BUSY_PROPERTIES)

    def written_bytes(self) -> int:
        written = 0
        for line in (self._options.get_statistics() or "").splitlines():
            name, *words = line.split()
            if name in WRITTEN_TICKERS:
                written += int(words[-1])
        return written

    def index_bytes(self) -> int:
        return int(self._db.property_int_value("rocksdb.estimate-table-readers-mem") or 0)

    def close(self) -> None:
        self._db.close()


ENGINES: tuple[type[Replicad] | type[Rocksdict], ...] = (Replicad, Rocksdict)


def versions() -> str:
    """Both versions, for the head of the table."""
    return ", ".join(f"{kind.name} {importlib.metadata.version(kind.name)}" for kind in ENGINES)
