"""Whether a process stays within its budget: `python -m bench.memory ENGINE DIRECTORY RECORDS VALUE_BYTES`.

A child process loads data several times its budget, settles it, reads at random until the cache is full, and
scans everything once. Its own resident set tells what that took, over what it was with the empty database
open. No list of records is held: the keys are digests of their numbers. With few records the budget is small,
and what any process grows by is most of what is seen.
"""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.data import KEY_BYTES, make_values
from bench.engines import ENGINES, Engine, Pair
from bench.measure import ROUNDS, Disagreement
from bench.report import Result, heading, note, show
from bench.sizes import MIB, Sizes, tight
from bench.workloads import BATCH

SECONDS_MAX = 1800
READS_MAX = 500_000
PHASES = ("loading", "reading", "scanning")


def show_memory(count: int, value_bytes: int, directory: Path) -> None:
    sizes = sizes_for(count, value_bytes)
    heading(f"memory, {count:,} records")
    told: dict[str, list[dict[str, float]]] = {kind.name: [] for kind in ENGINES}
    for _ in range(ROUNDS):
        for kind in ENGINES:
            told[kind.name].append(_run(kind.name, count, value_bytes, directory))
        if len({of_engine[-1]["read"] for of_engine in told.values()}) != 1:
            raise Disagreement("the engines read different values in children")
    for field in PHASES:
        ours, theirs = (statistics.median(one[field] for one in told[kind.name]) for kind in ENGINES)
        show(Result(f"grown while {field}, at most", ours / MIB, theirs / MIB, " MiB", less_is_better=True))
    for kind in ENGINES:
        grown = statistics.median(max(one[field] for field in PHASES) for one in told[kind.name])
        index = statistics.median(one["index"] for one in told[kind.name])
        budget = sizes.budget_bytes
        note(
            f"{kind.name}: {grown / budget:.0%} of the budget of {budget / MIB:.1f} MiB:"
            f" cache {sizes.cache_bytes / MIB:.1f}, with indexes and filters of {index / MIB:.1f},"
            f" memtables {sizes.memtables * sizes.memtable_bytes / MIB:.1f}"
        )


def sizes_for(count: int, value_bytes: int) -> Sizes:
    return tight(count * (KEY_BYTES + value_bytes))


def key_of(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "little"), digest_size=KEY_BYTES).digest()


def _run(name: str, count: int, value_bytes: int, directory: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=directory) as path:
        command = [sys.executable, "-m", "bench.memory", name, path, str(count), str(value_bytes)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    if done.returncode:
        raise Disagreement(f"{name}: the child that measures memory failed: {done.stderr.strip()}")
    return dict(json.loads(done.stdout))


def child(name: str, directory: Path, count: int, value_bytes: int) -> dict[str, float]:
    """Bytes that the resident set grew by at most, and a digest of what was read, as a number."""
    kind = next(one for one in ENGINES if one.name == name)
    engine: Engine = kind(directory / "db", sizes_for(count, value_bytes))
    try:
        engine.put_batches([[(b"first", b"")]])
        engine.get(b"first")
        base = _resident_bytes("VmRSS")
        _reset_peak()
        engine.put_batches(_batches(count, value_bytes))
        engine.settle()
        loading = _resident_bytes("VmHWM") - base
        _reset_peak()
        source, checksum = random.Random(2), hashlib.sha256()
        for _ in range(min(count, READS_MAX)):
            found = engine.get(key_of(source.randrange(count)))
            if found is None or len(found) != value_bytes:
                raise Disagreement(f"{name}: a record is missing or short")
            checksum.update(found)
        reading = _resident_bytes("VmHWM") - base
        _reset_peak()
        scanned = sum(1 for _ in engine.scan_all())
        if scanned != count + 1:
            raise Disagreement(f"{name}: a scan of everything gives {scanned:,} pairs")
        return {
            "loading": loading,
            "reading": reading,
            "scanning": _resident_bytes("VmHWM") - base,
            "index": engine.index_bytes(),
            "read": int.from_bytes(checksum.digest()[:6], "little"),
        }
    finally:
        engine.close()


def _batches(count: int, value_bytes: int) -> Iterator[list[Pair]]:
    source = random.Random(1)
    for begin in range(0, count, BATCH):
        numbers = range(begin, min(count, begin + BATCH))
        yield list(zip(map(key_of, numbers), make_values(source, len(numbers), value_bytes), strict=True))


def _resident_bytes(field: str) -> int:
    """VmRSS is the resident set now, VmHWM its peak since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    print(json.dumps(child(arguments[0], Path(arguments[1]), int(arguments[2]), int(arguments[3]))))
