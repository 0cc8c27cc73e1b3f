"""The golden manifest, read by the program and by the plain reader."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from replicad.env import LocalFileSystem
from replicad.store.manifest.file import load
from replicad.types import Position
from tests.support.oracle.manifest import read_manifest

VECTORS = Path(__file__).resolve().parents[3] / "proto" / "vectors"


def test_program_reads_the_vector() -> None:
    """The program finds in the golden manifest what its description says."""
    state = load(LocalFileSystem(), VECTORS / "manifest")
    expected = json.loads((VECTORS / "manifest.json").read_text())
    assert state.parent is not None
    found = {
        "database_id": state.database_id,
        "parent": [state.parent.database_id, state.parent.fork],
        "copy": state.copy,
        "epochs": [[record.epoch, record.id, record.fork] for record in state.epochs],
        "next_file": state.next_file,
        "flushed": state.flushed,
        "synced": state.synced,
        "log_start": state.log_start,
        "commit_time_us": state.commit_time_us,
        "tables": [asdict(meta) for meta in state.tables],
    }
    assert plain(found) == expected


def test_plain_reader_agrees() -> None:
    """The reader written from the page finds the same."""
    state = read_manifest(VECTORS / "manifest")
    for name in ("flushed", "synced", "log_start"):
        state[name] = as_position(state[name])
    state["parent"][1] = as_position(state["parent"][1])
    state["epochs"] = [[epoch, id, as_position(fork)] for epoch, id, fork in state["epochs"]]
    assert plain(state) == json.loads((VECTORS / "manifest.json").read_text())


def as_position(value: list[int]) -> Position:
    return Position(*value)  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """Bytes as hex, positions as lists, as JSON holds them."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Position):
        return [value.epoch, value.sequence, f"{value.history_hash:016x}"]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
