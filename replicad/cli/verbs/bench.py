"""`replicad bench`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replicad.cli.arguments import JsonOption

if TYPE_CHECKING:
    from replicad.store.database import Database

RECORD_BYTES = 100
GROUP = 64


def register(app: typer.Typer) -> None:
    app.command(
        help="""How fast the store is on this disk, compared with the bare disk.

    The bare disk appends 100 bytes to a file and syncs it, again and again. The ratios compare with that: how
    many writes a second the store acknowledges, alone and in groups, with both kinds of durability. Works in
    a temporary directory below DIR and removes it. `make bench` in the source tree compares with RocksDB.
    """,
        epilog="\b\nExamples:\n  replicad bench\n  replicad bench /srv/disk --seconds 5 --json",
    )(bench)


def bench(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="An existing directory on the disk to try.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long each measurement takes.")
    ] = 1.0,
    json: JsonOption = False,
) -> None:
    import tempfile

    import replicad
    from replicad.cli.output import print_json, print_table
    from replicad.options import Options

    with tempfile.TemporaryDirectory(prefix="replicad-bench-", dir=directory or Path.cwd()) as temporary:
        work = Path(temporary)
        rates = {"append and fdatasync, bare file": _bare_disk(work / "file", seconds)}
        for durability in ("sync", "async"):
            with replicad.open(work / durability, Options(durability=durability)) as database:
                rates |= _store(database, durability, seconds)
    bare = next(iter(rates.values()))
    if json:
        print_json(
            [{"name": n, "per_second": round(r, 1), "ratio": round(r / bare, 2)} for n, r in rates.items()]
        )
    else:
        print_table(
            ("", "a second", "ratio"), [(n, f"{r:,.0f}", f"{r / bare:,.2f}") for n, r in rates.items()]
        )


def _rate(seconds: float, step: Callable[[int], int]) -> float:
    """Things a second; `step` is given how many were done, and says how many it did."""
    import time

    begun = time.perf_counter()
    done = 0
    while (took := time.perf_counter() - begun) < seconds:
        done += step(done)
    return done / took


def _bare_disk(path: Path, seconds: float) -> float:
    import os

    record = os.urandom(RECORD_BYTES)
    with open(path, "ab", buffering=0) as file:

        def step(_done: int) -> int:
            file.write(record)
            os.fdatasync(file.fileno())
            return 1

        return _rate(seconds, step)


def _store(database: Database, durability: str, seconds: float) -> dict[str, float]:
    import os

    value = os.urandom(RECORD_BYTES)

    def put(done: int) -> int:
        database.put(b"key:%012d" % done, value)
        return 1

    def put_group(done: int) -> int:
        for number in range(done, done + GROUP):
            last = database.submit_put(b"key:%012d" % number, value)
        if durability == "sync":
            database.wait_durable(last)
        return GROUP

    def get(done: int) -> int:
        database.get(b"key:%012d" % (done % GROUP))
        return 1

    rates = {
        f"put, {durability}": _rate(seconds, put),
        f"put, {durability}, {GROUP} at a time": _rate(seconds, put_group),
    }
    if durability == "async":
        rates["get, in memory"] = _rate(seconds, get)
    return rates
