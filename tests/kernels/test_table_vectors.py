"""The golden vectors of tables: kernel, store, `inspect` and plain twin read them alike."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from replicad import kernels
from replicad.cli.explain import explain
from replicad.env import Env
from replicad.errors import CorruptionError
from replicad.store.table.file import open_table
from replicad.store.table.meta import TableMeta
from replicad.types import DEFAULT_FAMILY, FileNumber, Sequence
from tests.support.oracle.block import PUT, Entry, decode_block, encode_block, split_blocks
from tests.support.oracle.bloom import build_filter, may_contain, parse_filter
from tests.support.oracle.index import BlockHandle, decode_index, encode_index
from tests.support.oracle.table_file import read_table
from tests.support.oracle.varint import Malformed

VECTORS = Path(__file__).parents[2] / "proto" / "vectors" / "table"
BLOCKS = json.loads((VECTORS / "blocks.json").read_text())
TABLES = json.loads((VECTORS / "tables.json").read_text())


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def entries_of(vector: dict[str, Any]) -> list[Entry]:
    return [
        Entry(bytes.fromhex(entry["key"]), entry["sequence"], entry["kind"], bytes.fromhex(entry["value"]))
        for entry in vector["entries"]
    ]


@pytest.mark.parametrize("vector", BLOCKS["data"]["valid"], ids=by_name)
def test_a_data_block_decodes_to_its_entries_and_back(vector: dict[str, Any]) -> None:
    """A data block decodes to its entries and they encode to the block."""
    raw, entries = bytes.fromhex(vector["raw"]), entries_of(vector)
    assert kernels.decode_block(raw) == decode_block(raw) == entries
    assert encode_block(entries) == raw


@pytest.mark.parametrize("vector", BLOCKS["index"]["valid"], ids=by_name)
def test_an_index_decodes_to_its_separators_and_handles_and_back(vector: dict[str, Any]) -> None:
    """An index decodes to its separators and handles and they encode to the index."""
    raw = bytes.fromhex(vector["raw"])
    keys = [bytes.fromhex(block["separator"]) for block in vector["blocks"]]
    handles = [
        BlockHandle(block["offset"], block["length"], block["raw_length"]) for block in vector["blocks"]
    ]
    expected = [(key, *handle) for key, handle in zip(keys, handles, strict=True)]
    assert kernels.decode_index(raw) == decode_index(raw) == expected
    assert encode_index(keys, handles) == raw


@pytest.mark.parametrize("vector", BLOCKS["filter"]["valid"], ids=by_name)
def test_a_filter_holds_its_keys_and_not_those_named_as_absent(vector: dict[str, Any]) -> None:
    """A filter holds its keys, and does not hold those that are named as absent."""
    raw, keys = bytes.fromhex(vector["raw"]), [bytes.fromhex(key) for key in vector["keys"]]
    assert build_filter(keys, vector["bits_per_key"]) == raw
    for holds in (kernels.filter_may_contain, may_contain):
        assert all(holds(raw, key) for key in keys)
        assert not any(holds(raw, bytes.fromhex(key)) for key in vector["absent"])


@pytest.mark.parametrize("kind", ["data", "index", "filter"])
def test_a_malformed_block_is_refused_at_the_written_offset(kind: str) -> None:
    """A malformed block is refused, by the kernel at the written offset."""
    for vector in BLOCKS[kind]["invalid"]:
        raw = bytes.fromhex(vector["raw"])
        with pytest.raises(Malformed):
            {"data": decode_block, "index": decode_index, "filter": parse_filter}[kind](raw)
        with pytest.raises(CorruptionError) as caught:
            if kind == "data":
                kernels.decode_block(raw)
            elif kind == "index":
                kernels.decode_index(raw)
            else:
                kernels.filter_may_contain(raw, b"key")
        assert caught.value.offset == vector["offset"], vector["name"]


@pytest.mark.parametrize("vector", TABLES, ids=by_name)
def test_a_whole_table_reads_as_written_to_all_three_readers(vector: dict[str, Any]) -> None:
    """A whole table reads as written through the store's table, through `inspect` and through the twin."""
    path = VECTORS / vector["file"]
    data, entries = path.read_bytes(), entries_of(vector)
    assert hashlib.sha256(data).hexdigest() == vector["sha256"]

    table = read_table(data)
    assert table.table_id.hex() == vector["table_id"]
    assert table.entries == entries
    assert len(table.blocks) == len(split_blocks(entries, vector["block_bytes"]))
    assert table.filter == build_filter({entry.key for entry in entries}, 10)
    assert table.properties["entries"] == len(entries)

    explained = explain(path, entries=True)
    assert explained.damage is None
    shown = [entry for part in explained.parts for entry in part.get("entries", ())]
    assert [entry["sequence"] for entry in shown] == [entry.sequence for entry in entries]

    meta = TableMeta(
        number=FileNumber(int(path.stem)),
        table_id=table.table_id,
        family=DEFAULT_FAMILY,
        level=1,
        size_bytes=len(data),
        sha256=bytes.fromhex(vector["sha256"]),
        smallest=entries[0].key,
        largest=entries[-1].key,
        first_sequence=Sequence(min(entry.sequence for entry in entries)),
        last_sequence=Sequence(max(entry.sequence for entry in entries)),
        entries=len(entries),
        deletions=sum(entry.kind != PUT for entry in entries),
        raw_bytes=0,
    )
    opened = open_table(Env.local().fs, VECTORS, meta, kernels.BlockCache(1 << 20))
    read = [entry for block in opened.blocks() for entry in kernels.decode_block(block)]
    assert read == entries
    view = kernels.ReadView([], [], [[opened.table]])
    for entry in entries:
        expected = entry.value if entry.kind == PUT else None
        assert view.get(entry.key, entry.sequence) == expected
