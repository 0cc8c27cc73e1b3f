"""The golden archive: read by the program, by the plain reader, and by inspect, with the same result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from replicad.backup.archive.frames import check_object, read_line
from replicad.backup.archive.log import look_at_log
from replicad.backup.archive.names import objects_of
from replicad.backup.directory_target import DirectoryTarget
from replicad.cli.main import main
from replicad.env import Env
from replicad.types import ORIGIN
from tests.support.oracle.segment import SegmentHeader

VECTORS = Path(__file__).resolve().parents[3] / "proto" / "vectors"
SEGMENTS: list[dict[str, Any]] = json.loads((VECTORS / "log" / "segments.json").read_text())


def test_the_archive_holds_the_log() -> None:
    """Names, headers and frames agree with the vectors of the log; an overlap changes nothing."""
    target = DirectoryTarget(Env(), VECTORS / "log-archive")
    objects = objects_of(target.list("log/"))
    assert len(objects) == 3
    for each in objects:
        assert check_object(target, each) == each.size_bytes
        header = SegmentHeader.decode((VECTORS / "log-archive" / each.name).read_bytes())
        assert header.encode() == target.read(each.name, 0, 64)
        assert (header.epoch, header.sequence + 1) == (each.epoch, each.first)
        assert header.database_id == each.database_id
        assert main(["inspect", str(VECTORS / "log-archive" / each.name)]) == 0
    log = look_at_log(target, objects[0].database_id, ())
    assert log.forks == {2: SEGMENTS[1]["header"]["sequence"]}
    line = log.from_base(ORIGIN)
    assert not line.gaps
    frames = b"".join(chunk.frames for chunk in read_line(target, line.pieces, ORIGIN))
    assert frames == b"".join((VECTORS / "log" / each["file"]).read_bytes()[64:] for each in SEGMENTS)


def test_names_are_those_of_the_frames() -> None:
    """The last frame of the log vectors is what the name of an object ends with."""
    names = {path.name for path in (VECTORS / "log-archive").rglob("*.log")}
    for segment in SEGMENTS:
        last = segment["frames"][-1]
        end = last["first_sequence"] + max(1, last["operation_count"]) - 1
        assert (
            f"{last['epoch']:010d}-{segment['frames'][0]['first_sequence']:020d}-{end:020d}"
            f"-{last['history_hash']}-{last['commit_time_us']:020d}.log"
        ) in names
