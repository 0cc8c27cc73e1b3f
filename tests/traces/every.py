"""The workloads whose traces are kept: everything in which the order of syncs decides what a crash leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.crash.backup_workloads import backup, restore
from tests.crash.recording import Recording
from tests.crash.workloads import (
    archive,
    bootstrap,
    checkpoint,
    compaction,
    flush,
    reopening,
    rewind,
    role_change,
    rotation,
)

TRACES: dict[str, Callable[[], Recording]] = {
    workload.__name__: workload
    for workload in (
        flush,
        rotation,
        archive,
        compaction,
        reopening,
        checkpoint,
        bootstrap,
        role_change,
        rewind,
        backup,
        restore,
    )
}
DIRECTORY = Path(__file__).resolve().parents[1] / "testdata" / "traces"


def golden(name: str) -> Path:
    return DIRECTORY / f"{name}.txt"
