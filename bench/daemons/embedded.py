"""The store alone against rocksdict: single puts, and puts and gets beside flush and compaction."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.daemons.row import Figure, Group, Limit, Measured, Row
from bench.data import Records, make_records
from bench.engines import Engine, Replicad, Rocksdict
from bench.latency import PERCENTILES, RECORDS_MAX, measure_round
from bench.measure import timed
from bench.sizes import Sizes, tight

RECORDS = 1_000_000
PUT, LATENCY = "put, one at a time", "beside flush and compaction"


def _puts(kind: type[Engine], records: Records, directory: Path) -> Measured:
    with tempfile.TemporaryDirectory(dir=directory) as work:
        engine = kind(Path(work) / "db", Sizes())  # type: ignore[call-arg]
        seconds, _ = timed(lambda: engine.put_each(zip(records.keys, records.values, strict=True)))
        engine.close()
    return {"": Figure(value=len(records) / seconds)}


def _latency(kind: type[Engine], records: Records, directory: Path) -> Measured:
    sizes = replace(tight(records.data_bytes), cache_bytes=2 * records.data_bytes)
    with tempfile.TemporaryDirectory(dir=directory) as work:
        engine = kind(Path(work) / "db", sizes)  # type: ignore[call-arg]
        try:
            found = measure_round(engine, records, 1)
        finally:
            engine.close()
    return {
        f"{name} p{percent:g}": Figure(value=values[at] / 1000)
        for name, values in (("put", found.puts), ("get", found.gets))
        for at, percent in enumerate(PERCENTILES)
        if percent > 50
    }


@contextlib.contextmanager
def _rows(directory: Path) -> Iterator[list[Row]]:
    if importlib.util.find_spec("rocksdict") is None:
        print("skipped, rocksdict not installed: put, latency", flush=True)
        yield []
        return
    written = make_records(RECORDS, 1)
    few, many = written.first(RECORDS // 5), written.first(RECORDS_MAX)
    tails = [f"{name} p{percent:g}" for name in ("put", "get") for percent in PERCENTILES]
    yield [
        Row(
            name=PUT,
            unit="/s",
            ours=partial(_puts, Replicad, few, directory),
            theirs=partial(_puts, Rocksdict, few, directory),
            peer="rocksdict",
            limits={"": Limit(ratio=1.2)},
        ),
        Row(
            name=LATENCY,
            unit="µs",
            ours=partial(_latency, Replicad, many, directory),
            theirs=partial(_latency, Rocksdict, many, directory),
            peer="rocksdict",
            less_is_better=True,
            limits=dict.fromkeys(tails, Limit(ratio=1.0)),
        ),
    ]


def groups() -> list[Group]:
    return [Group(names=(PUT, LATENCY), needs=(), open=_rows)]
