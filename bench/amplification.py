"""What steady overwriting costs in bytes written and in space, with the same small sizes on both sides.

The records are loaded and settled; then they are overwritten at random, once over unmeasured, so that the
tree takes its usual form, and twice over measured. Write amplification is what flush and compaction wrote
for each byte of key and value; the logs are not counted. Space amplification is the size of the table files,
seen twenty times on the way, for each byte that they have once everything is compacted.
"""

from __future__ import annotations

import random
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.data import Records, make_values
from bench.engines import ENGINES, Engine
from bench.measure import ROUNDS, Disagreement
from bench.report import Result, heading, note, show
from bench.sizes import KIB, tight
from bench.workloads import BATCH, contents

RECORDS_MAX = 200_000
LOOKS = 20
SECONDS_MAX = 120.0
POLL_SECONDS = 0.01
QUIET_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Round:
    """The ratios of one round, and a digest of what the database held after it."""

    write: float
    space_median: float
    space_most: float
    contents: str


def show_amplification(records: Records, seed: int, directory: Path) -> None:
    records = records.first(RECORDS_MAX)
    heading(f"{len(records):,} records overwritten")
    rounds: dict[str, list[Round]] = {kind.name: [] for kind in ENGINES}
    sizes = tight(records.data_bytes, statistics=True)
    for number in range(ROUNDS):
        for kind in ENGINES:
            path = Path(tempfile.mkdtemp(dir=directory))
            engine = kind(path / "db", sizes)
            try:
                rounds[kind.name].append(_round(engine, path / "db", records, seed + number))
            finally:
                engine.close()
            shutil.rmtree(path)
        if len({of_engine[-1].contents for of_engine in rounds.values()}) != 1:
            raise Disagreement("the engines hold different data after overwriting")
    for name, field in (
        ("write amplification", "write"),
        ("space amplification", "space_median"),
        ("space amplification, at most", "space_most"),
    ):
        ours, theirs = (
            statistics.median(getattr(one, field) for one in rounds[kind.name]) for kind in ENGINES
        )
        show(Result(name, ours, theirs, " x", less_is_better=True))
    note(
        f"memtables and tables of {sizes.memtable_bytes // KIB} KiB,"
        f" level 1 of {sizes.level_base_bytes // KIB} KiB"
    )


def _round(engine: Engine, path: Path, records: Records, seed: int) -> Round:
    engine.put_batches(records.batches(BATCH))
    engine.settle()
    source = random.Random(seed)
    _overwrite(engine, records, len(records), source)
    _wait_until_quiet(engine, path)
    before = engine.written_bytes()
    seen = []
    for _ in range(LOOKS):
        _overwrite(engine, records, 2 * len(records) // LOOKS, source)
        seen.append(table_file_bytes(path))
    _wait_until_quiet(engine, path)
    written = engine.written_bytes() - before
    engine.settle()
    _wait_until_quiet(engine, path)
    least = table_file_bytes(path)
    return Round(
        written / (2 * records.data_bytes),
        statistics.median(seen) / least,
        max(seen) / least,
        contents(engine),
    )


def _overwrite(engine: Engine, records: Records, count: int, source: random.Random) -> None:
    """`count` records, chosen at random, with new values."""
    for begin in range(0, count, BATCH):
        some = min(BATCH, count - begin)
        keys = source.choices(records.keys, k=some)
        values = make_values(source, some, len(records.values[0]))
        engine.put_batches([list(zip(keys, values, strict=True))])


def _wait_until_quiet(engine: Engine, path: Path) -> None:
    """Until nothing is due and the table files have not changed for a while."""
    deadline = time.monotonic() + SECONDS_MAX
    size, since = -1, 0.0
    while True:
        now, current = time.monotonic(), table_file_bytes(path)
        if engine.busy() or current != size:
            size, since = current, now
        elif now - since >= QUIET_SECONDS:
            return
        if now > deadline:
            raise Disagreement(f"{engine.name}: still busy after {SECONDS_MAX:.0f} s")
        time.sleep(POLL_SECONDS)


def table_file_bytes(path: Path) -> int:
    """What the table files take, those that wait for deletion included."""
    total = 0
    for entry in path.rglob("*.sst"):
        try:
            total += entry.stat().st_size
        except FileNotFoundError:
            # A compaction ended in between.
            continue
    return total
