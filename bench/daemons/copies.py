"""Bootstrap of a new replica against copies of the same directory by rsync and cp, each synced."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import replicad
from bench.daemons.nodes import Node, replicad_primary, replicad_replica
from bench.daemons.row import Figure, Group, Limit, Measured, Row

VALUE_BYTES = 100_000
RSYNC, CP = "bootstrap against rsync and sync", "bootstrap against cp and sync"


def fill(path: Path, total_bytes: int) -> None:
    """A database of that size, of values that do not compress."""
    source = os.urandom(VALUE_BYTES + 4096)
    with replicad.open(path) as database:
        for number in range(total_bytes // VALUE_BYTES):
            start = number % 4096
            value = os.urandom(16) + source[start : start + VALUE_BYTES - 16]
            database.put(b"key:%012d" % number, value)
        database.flush()


def _bootstrap(primary: Node, feed: int, size_bytes: int, directory: Path) -> Measured:
    """MB a second from the first answer of the new replica, which has no data, to the first from data."""
    with tempfile.TemporaryDirectory(dir=directory) as work:
        replica = replicad_replica(Path(work), "replica", feed)
        before = primary.processor_seconds
        try:
            replica.spawn()
            replica.wait_for(b"PING\r\n", b"\r\n")
            begun = time.perf_counter()
            replica.wait_for(b"PING\r\n", b"+PONG", 0.01)
            seconds = time.perf_counter() - begun
            processor = primary.processor_seconds - before + replica.processor_seconds
            peak = max(primary.peak_bytes, replica.peak_bytes)
        finally:
            replica.kill()
    size = size_bytes / 1e6
    return {"": Figure(value=size / seconds, processor_us=processor / size * 1e6, peak_bytes=peak)}


def _copied(command: tuple[str, ...], source: Path, size_bytes: int, directory: Path) -> Measured:
    """MB a second of a copy that is synced."""
    with tempfile.TemporaryDirectory(dir=directory) as work:
        before = os.times()
        begun = time.perf_counter()
        subprocess.run([*command, str(source), f"{work}/copy"], check=True)
        subprocess.run(["sync", "--file-system", work], check=True)
        seconds = time.perf_counter() - begun
        after = os.times()
    processor = sum(after[2:4]) - sum(before[2:4])
    size = size_bytes / 1e6
    return {"": Figure(value=size / seconds, processor_us=processor / size * 1e6)}


@contextlib.contextmanager
def _rows(directory: Path, size_bytes: int) -> Iterator[list[Row]]:
    primary, feed = replicad_primary(directory, "primary")
    data = directory / "primary"
    fill(data, size_bytes)
    try:
        primary.start()
        stored = sum(file.stat().st_size for file in data.rglob("*.sst"))
        ours = partial(_bootstrap, primary, feed, stored, directory)
        peers = {RSYNC: ("rsync", "-a", "--whole-file"), CP: ("cp", "-r")}
        yield [
            Row(
                name=name,
                unit="MB/s",
                ours=ours,
                theirs=partial(_copied, command, data, stored, directory),
                peer=command[0],
                limits={"": Limit(ratio=1.2)} if name == RSYNC else {},
            )
            for name, command in peers.items()
        ]
    finally:
        primary.end()
        shutil.rmtree(data, ignore_errors=True)


def groups(size_bytes: int) -> list[Group]:
    return [Group(names=(RSYNC, CP), needs=("rsync", "sync"), open=partial(_rows, size_bytes=size_bytes))]
