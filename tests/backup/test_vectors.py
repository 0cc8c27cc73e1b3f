"""The golden target, read by the program, by the plain reader and by `replicad inspect`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replicad
from replicad import BackupEngine
from replicad.backup.catalog import decode_catalog, encode_catalog
from replicad.backup.collections import (
    decode_collection,
    decode_revoked,
    encode_collection,
    encode_revoked,
)
from replicad.backup.meta import decode_meta, decode_pending, encode_meta, encode_pending
from replicad.cli.explain import explain
from tests.support.backups.watched import brought_back
from tests.support.oracle.backup import backups, check_files, read_document

VECTORS = Path(__file__).resolve().parents[2] / "proto" / "vectors"
TARGET = VECTORS / "backup"
EXPECTED: dict[str, Any] = json.loads((VECTORS / "backup.json").read_text())
DOCUMENTS = sorted(EXPECTED["documents"])


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TARGET, tmp_path / "target"))


def test_program_reads_the_vector(target: Path, tmp_path: Path) -> None:
    """One backup is there, whole, and opens with what its description says."""
    engine = BackupEngine(target)
    assert sorted(engine.target.list("")) == EXPECTED["files"]
    (info,) = engine.get_backup_info()
    described = EXPECTED["documents"]["1.json"]
    assert (info.id, str(info.position)) == (described["id"], described["position"])
    assert info.metadata == b"golden"
    assert engine.verify_backups(checksums=True).ok
    with replicad.open(brought_back(engine, 1, tmp_path / "back"), read_only=True) as copy:
        pairs = {key.decode(): value.decode() for key, value in copy.scan()}
        assert pairs == EXPECTED["pairs"]
        assert str(copy.position) == described["position"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_written_as_they_were(name: str) -> None:
    """Reading and writing again gives the same bytes."""
    data = (TARGET / "meta" / name).read_bytes()
    again: Callable[[], bytes] = {
        "backup": lambda: encode_meta(decode_meta(data)),
        "pending-backup": lambda: encode_pending(decode_pending(data)),
        "revoked-backup": lambda: encode_revoked(decode_revoked(data)),
        "backup-collection": lambda: encode_collection(decode_collection(data)),
        "backup-catalog": lambda: encode_catalog(decode_catalog(data)),
    }[EXPECTED["documents"][name]["kind"]]
    assert again() == data


@pytest.mark.parametrize("name", DOCUMENTS)
def test_plain_reader_agrees(name: str) -> None:
    """The reader written from the page finds what the description says."""
    kind, body = read_document((TARGET / "meta" / name).read_bytes())
    assert {"kind": kind, **body} == EXPECTED["documents"][name]


def test_plain_reader_finds_every_byte() -> None:
    """All files of the backup are what its meta says."""
    assert {id: check_files(TARGET, backup) for id, backup in backups(TARGET).items()} == {1: 1537}


def test_plain_reader_agrees_on_what_the_program_writes(
    database: replicad.Database, engine: BackupEngine
) -> None:
    """Also on a target that was made just now."""
    for _ in range(2):
        engine.create_backup(database)
    found = backups(Path(engine.target.url))
    assert {id: check_files(Path(engine.target.url), found[id]) for id in sorted(found)} == {
        info.id: info.size_bytes for info in engine.get_backup_info()
    }
    assert [found[id]["position"] for id in (1, 2)] == [str(i.position) for i in engine.get_backup_info()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_inspect_explains_the_vector(name: str, tmp_path: Path) -> None:
    """`replicad inspect` knows every document, and finds damage in it."""
    explained = explain(TARGET / "meta" / name, entries=True)
    assert explained.damage is None and explained.header["checksum"] == "right"
    assert explained.kind == EXPECTED["documents"][name]["kind"] + " document"
    damaged = bytearray((TARGET / "meta" / name).read_bytes())
    damaged[-5] ^= 1
    (tmp_path / name).write_bytes(damaged)
    assert explain(tmp_path / name).damage is not None


def test_what_the_vector_left_is_removed(target: Path) -> None:
    """A collection revokes the dead, forgets the removal that was cut short, and keeps the backup."""
    engine = BackupEngine(target)
    engine.garbage_collect(0)
    assert sorted(name for name in engine.target.list("meta/")) == [
        "meta/1.json",
        "meta/catalog.json",
        "meta/last-3",
    ]
    assert engine.verify_backup(1, checksums=True).ok
