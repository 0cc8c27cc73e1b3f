"""`replicad inspect` explains every kind of file, and finds damage where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from replicad.cli.exits import ERROR

Run = Callable[..., tuple[int, str, str]]
VECTORS = Path(__file__).resolve().parents[3] / "proto" / "vectors" / "log"
KINDS = {"*.sst": "table", "wal/*.log": "log segment", "MANIFEST-*": "manifest", "CURRENT": "CURRENT"}


def file_of(directory: Path, pattern: str) -> Path:
    return sorted(directory.glob(pattern))[-1]


@pytest.mark.parametrize("pattern", KINDS)
def test_a_whole_file_has_every_checksum_right(run: Run, filled: Path, pattern: str) -> None:
    """A file as it was written has every checksum right, and says what it is."""
    file = file_of(filled, pattern)
    code, out, err = run("inspect", file, "--json", "--entries", "--limit", 0)
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["kind"] == KINDS[pattern]
    assert document["damage"] is None
    assert len(document["parts"]) == document["parts_total"]
    code, out, _ = run("inspect", file)
    assert "every checksum is right" in out


@pytest.mark.parametrize("pattern", ["*.sst", "wal/*.log", "MANIFEST-*"])
def test_parts_cover_file(run: Run, filled: Path, pattern: str) -> None:
    """The parts follow one another to the file's end, so that no byte is unexplained."""
    file = file_of(filled, pattern)
    document = json.loads(run("inspect", file, "--json", "--limit", 0)[1])
    parts = sorted((part["offset"], part["length"]) for part in document["parts"])
    for (offset, length), (following, _) in pairwise(parts):
        assert offset + length == following
    assert sum(parts[-1]) == file.stat().st_size


@pytest.mark.parametrize("pattern", KINDS)
@pytest.mark.parametrize("place", [0.01, 0.4, 0.8, 0.999])
def test_a_flipped_byte_is_found_in_the_part_that_holds_it(
    run: Run, filled: Path, tmp_path: Path, pattern: str, place: float
) -> None:
    """A flipped byte is found in the part that holds it."""
    source = file_of(filled, pattern)
    data = bytearray(source.read_bytes())
    at = int(len(data) * place)
    data[at] ^= 0x40
    file = tmp_path / source.name
    file.write_bytes(data)
    code, out, err = run("inspect", file, "--json", "--limit", 0)
    damage = json.loads(out)["damage"]
    assert code == ERROR
    assert f"{file}: offset {damage['offset']}: " in err
    assert damage["offset"] <= at
    whole = json.loads(run("inspect", source, "--json", "--limit", 0)[1])["parts"]
    for part in whole:
        if part["offset"] <= at < part["offset"] + part["length"]:
            assert damage["offset"] == part["offset"]


def test_a_segment_that_ends_within_a_frame_says_where(run: Run, filled: Path, tmp_path: Path) -> None:
    """A segment that ends within a frame says where, and that a crash leaves this."""
    source = file_of(filled, "wal/*.log")
    file = tmp_path / source.name
    file.write_bytes(source.read_bytes()[:-5])
    code, out, err = run("inspect", file)
    assert code == ERROR
    assert "ends within a frame" in err
    assert "what a crash leaves" in out


def test_a_foreign_file_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    """A file that is none of ours is refused by name."""
    (tmp_path / "notes.txt").write_text("hello")
    code, _, err = run("inspect", tmp_path / "notes.txt")
    assert code == ERROR
    assert "notes.txt is not a log segment" in err


def test_a_missing_file_is_one_line_with_its_name(run: Run, tmp_path: Path) -> None:
    """A file that is not there is one line with its name."""
    code, _, err = run("inspect", tmp_path / "none.sst")
    assert (code, err) == (ERROR, f"replicad: {tmp_path}/none.sst: No such file or directory\n")


def test_the_golden_segments_are_shown_as_they_are_described(run: Run) -> None:
    """What is told of the golden segments is what their description says."""
    for segment in json.loads((VECTORS / "segments.json").read_text()):
        code, out, _ = run("inspect", VECTORS / segment["file"], "--json", "--entries", "--limit", 0)
        document = json.loads(out)
        assert code == 0
        assert document["header"]["database_id"] == segment["header"]["database_id"]
        assert len(document["parts"]) == len(segment["frames"])
        for part, frame in zip(document["parts"], segment["frames"], strict=True):
            assert part["offset"] == frame["offset"]
            assert part["position"].endswith(frame["history_hash"])
            assert part["first_sequence"] == frame["first_sequence"]
            assert len(part["entries"]) == len(frame["records"])
