"""The golden manifests, read by the program, by the plain reader and by `replicad inspect`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from replicad.cli.explain.kinds import explain
from replicad.env import LocalFileSystem
from replicad.store.manifest.file import load
from replicad.types import Position
from tests.support.oracle.manifest import read_manifest

VECTORS = Path(__file__).resolve().parents[3] / "proto" / "vectors"
POSITIONS = ("flushed", "synced", "log_start", "owned")

golden = pytest.mark.parametrize("name", ["manifest", "manifest-families"])


def expected_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


@golden
def test_program_reads_the_vector(name: str) -> None:
    """The program finds in the golden manifest what its description says."""
    state = load(LocalFileSystem(), VECTORS / name)
    found = {
        "database_id": state.database_id,
        "parent": state.parent and [state.parent.database_id, state.parent.fork],
        "copy": state.copy,
        "epochs": [[record.epoch, record.id, record.fork] for record in state.epochs],
        "next_file": state.next_file,
        "flushed": state.flushed,
        "synced": state.synced,
        "log_start": state.log_start,
        "log_replaced": state.log_replaced,
        "owned": state.owned,
        "commit_time_us": state.commit_time_us,
        "families": [[record.id, record.name, record.created] for record in state.families.records[1:]],
        "next_family": state.families.next_id,
        "tables": [asdict(meta) for meta in state.tables],
    }
    defaults = {
        "parent": None,
        "log_replaced": False,
        "owned": [1, 0, "0" * 16],
        "families": [],
        "next_family": 1,
    }
    assert plain(found) == defaults | expected_of(name)


@golden
def test_plain_reader_agrees(name: str) -> None:
    """The reader written from the page finds the same."""
    state = read_manifest(VECTORS / name)
    for key in POSITIONS:
        if key in state:
            state[key] = as_position(state[key])
    if "parent" in state:
        state["parent"][1] = as_position(state["parent"][1])
    state["epochs"] = [[epoch, id, as_position(fork)] for epoch, id, fork in state["epochs"]]
    assert plain(state) == expected_of(name)


@golden
def test_inspect_shows_what_adds_up_to_the_same_state(name: str) -> None:
    """`replicad inspect` shows, record by record, what adds up to the same."""
    expected = expected_of(name)
    (path,) = (VECTORS / name).glob("MANIFEST-*")
    current, explained = explain(VECTORS / name / "CURRENT"), explain(path, entries=True)
    assert current.header["manifest"] == path.name
    assert current.damage is None and explained.damage is None
    shown: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for part in explained.parts:
        for number in part.get("drop", ()):
            del tables[f"{number:06d}.sst"]
        tables |= {table["name"]: table for table in part.get("add", ())}
        shown |= part
    for key in POSITIONS:
        if key in expected:
            epoch, sequence, history_hash = expected[key]
            assert shown[key] == f"{epoch}:{sequence}:{history_hash}"
    for key in ("database_id", "copy", "next_file", "log_replaced"):
        assert shown.get(key) == expected.get(key)
    names = {str(id): family for id, family, _ in expected.get("families", ())}
    families = {"0": "default", **names, "next": str(expected["next_family"])} if names else None
    assert shown.get("families") == families
    digests = {f"{table['number']:06d}.sst": table["sha256"] for table in expected["tables"]}
    assert {table: found["sha256"] for table, found in tables.items()} == digests
    if names:
        of = {f"{table['number']:06d}.sst": table["family"] for table in expected["tables"]}
        assert {table: found["family"] for table, found in tables.items()} == of


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
