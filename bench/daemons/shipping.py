"""Catching up with a log of many records, against RocksDB's own shipping in `peers/rocksdb_ship.cc`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.daemons.row import Figure, Group, Limit, Measured, Row
from bench.data import VALUE_BYTES, make_records
from bench.shipping import catch_up, filled_primary
from replicad.cli.demonstration.ports import free_ports
from replicad.cli.demonstration.processes import Daemon

BATCHES = (1, 100, 1000)
HEADER = Path("/usr/include/rocksdb/db.h")
SOURCE = Path(__file__).parent.parent / "peers" / "rocksdb_ship.cc"
LEAST = 4.0


def rocksdb_program(directory: Path) -> Path | None:
    """The peer, compiled; None where librocksdb-dev or a compiler is missing."""
    if not HEADER.exists() or shutil.which("g++") is None:
        return None
    program = directory / "rocksdb_ship"
    command = ["g++", "-O2", "-std=c++17", str(SOURCE), "-o", str(program), "-lrocksdb"]
    subprocess.run(command, check=True)
    return program


def _theirs(program: Path, records: int, batch: int, directory: Path) -> Measured:
    with tempfile.TemporaryDirectory(dir=directory) as work:
        command = [str(program), work, str(records), str(batch), str(VALUE_BYTES)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    rate, processor_us, peak_kib = done.stdout.split()
    figure = Figure(value=float(rate), processor_us=float(processor_us), peak_bytes=int(peak_kib) * 1024)
    return {"": figure}


@contextlib.contextmanager
def _rows(directory: Path, records: int, batch: int) -> Iterator[list[Row]]:
    program = rocksdb_program(directory)
    if program is None:
        print("skipped for the peer: librocksdb-dev (or g++) is not installed", flush=True)
    written = make_records(records, 1)
    with filled_primary(written, batch, directory) as (primary, stopped, arguments):
        with contextlib.closing(primary.node()) as node:
            target, wanted = node.digest()

        def ours() -> Measured:
            with tempfile.TemporaryDirectory(dir=directory) as work:
                shutil.copytree(stopped, Path(work) / "replica")
                replica = Daemon("replica", "replica", Path(work), arguments, free_ports(1)[0])
                return {"": Figure(value=catch_up(replica, target, wanted))}

        yield [
            Row(
                name=f"catch-up, batches of {batch}",
                unit="/s",
                ours=ours,
                theirs=None if program is None else partial(_theirs, program, records, batch, directory),
                peer="rocksdb",
                limits={"": Limit(ratio=LEAST)},
            )
        ]


def groups(records: int) -> list[Group]:
    return [
        Group(
            names=(f"catch-up, batches of {batch}",),
            needs=(),
            open=partial(_rows, records=records, batch=batch),
        )
        for batch in BATCHES
    ]
