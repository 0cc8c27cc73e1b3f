"""The workloads of one database, as a table: how many things each handles, and what it does with an engine.

A workload returns what it read, so that both engines can be held to the same answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bench.data import Records, absent_keys, sample
from bench.engines import Engine

BATCH = 1000
GROUP = 100
SCAN = 100


@dataclass(frozen=True, slots=True)
class Workload:
    """`run` is timed; it handles `count` things. `fresh`: it wants an empty database in each round."""

    name: str
    count: int
    run: Callable[[Engine], Any]
    fresh: bool = False


def workloads(records: Records, seed: int) -> list[Workload]:
    """All of them, over one set of records."""
    count = len(records)
    some = max(1, count // 5)
    few = records.first(some)
    single = list(zip(few.keys, few.values, strict=True))
    batches = list(records.batches(BATCH))
    keys = [records.keys[at] for at in sample(records, some, seed + 1)]
    absent = absent_keys(records, some, seed + 2)
    groups = [keys[at : at + GROUP] for at in range(0, len(keys), GROUP)]
    starts = [records.keys[at] for at in sample(records, max(1, some // SCAN), seed + 3)]
    return [
        Workload("put, one at a time", some, lambda e: e.put_each(single), fresh=True),
        Workload(f"batches of {BATCH}", count, lambda e: e.put_batches(batches), fresh=True),
        Workload(
            "load, flush, compact to the end", count, lambda e: _load_and_settle(e, batches), fresh=True
        ),
        Workload("get, cached", some, lambda e: e.get_each(keys)),
        Workload("get, absent", some, lambda e: e.get_each(absent)),
        Workload(f"multi_get of {GROUP}", some, lambda e: e.multi_get_each(groups)),
        Workload("scan of everything", count, lambda e: _drain(e.scan_all())),
        Workload(
            f"scan of {SCAN}",
            len(starts) * SCAN,
            lambda e: [e.scan_from(start, SCAN) for start in starts],
        ),
    ]


def _load_and_settle(engine: Engine, batches: list[list[tuple[bytes, bytes]]]) -> None:
    engine.put_batches(batches)
    engine.settle()


def _drain(pairs: Iterable[tuple[bytes, bytes]]) -> int:
    count = 0
    for _key, _value in pairs:
        count += 1
    return count


def contents(engine: Engine) -> str:
    """A digest of everything in key order, outside the measurement."""
    digest = hashlib.sha256()
    for key, value in engine.scan_all():
        digest.update(key)
        digest.update(value)
    return digest.hexdigest()
