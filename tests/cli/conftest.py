"""A data directory to look at, and the command line run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import replicad
from replicad.cli.main import main
from replicad.options import KIB, Options

RECORDS = 400


class Outcome(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run_arguments(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return run_arguments


def fill(path: Path, records: int = RECORDS) -> Path:
    """A database with tables, a live log and annotations, closed cleanly."""
    with replicad.open(path, Options(memtable_bytes=64 * KIB, durability="async")) as database:
        for number in range(records):
            batch = replicad.WriteBatch()
            batch.put(b"key:%06d" % number, b"value %d " % number * 9)
            batch.put_log_data(b"note %d" % number)
            database.write(batch)
            if number == records // 2:
                database.flush()
    return path


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared and not to be changed; `fill` makes another."""
    return fill(tmp_path_factory.mktemp("filled") / "db")
