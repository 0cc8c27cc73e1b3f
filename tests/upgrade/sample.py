"""`python -m tests.upgrade.sample REVISION`: what a build leaves on disk, in `tests/testdata/upgrade/`.

    first/, second/    a primary and its replica after a clean stop: tables, log, options, `state/`
    backups/           a target with two backups
    expected.json      how many keys there are, the last position, and how many keys the backups hold

Every key is `key:NNNN`, its value `value NNNN ` fifty times.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from replicad.cli.demonstration.ports import HOST
from tests.support.waiting import eventually
from tests.upgrade.builds import ROOT, build_of
from tests.upgrade.nodes import Node

SAMPLES = ROOT / "tests" / "testdata" / "upgrade"
SETTINGS = "[store]\nmemtable_bytes = 65536\nsegment_bytes = 32768\n"
BACKED_UP, KEYS = 400, 500


def pair(number: int) -> tuple[bytes, bytes]:
    return b"key:%04d" % number, b"value %04d " % number * 50


def make(revision: str) -> Path:
    build = build_of(revision)
    with tempfile.TemporaryDirectory(prefix="replicad-sample-") as name:
        directory = Path(name)
        first = Node(directory, "first", "primary", SETTINGS)
        second = Node(directory, "second", "replica", SETTINGS)
        second.primary = first
        target = directory / "backups"
        try:
            first.start(build)
            second.start(build)
            with first.client() as client:
                for number in range(KEYS):
                    client.set(*pair(number))
                    if number + 1 in (BACKED_UP // 2, BACKED_UP):
                        _back_up(build.program, first, target)
                sequence = client.execute_command("REPLICAD.DIGEST")[0]
            eventually(lambda: _has_all(second))
            second.stop()
            first.stop()
        finally:
            first.end()
            second.end()
        expected = {"keys": KEYS, "sequence": int(sequence), "backed_up": BACKED_UP}
        (directory / "expected.json").write_text(json.dumps(expected, sort_keys=True) + "\n")

        SAMPLES.mkdir(exist_ok=True)
        archive = SAMPLES / f"{build.name.partition('(')[2].rstrip(')')}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for part in ("first", "second", "backups", "expected.json"):
                tar.add(directory / part, part, filter=_nobody)
    return archive


def _back_up(program: tuple[str, ...], node: Node, target: Path) -> None:
    address = f"{HOST}:{node.port}"
    subprocess.run([*program, "backup", "create", "--node", address, str(target)], check=True)


def _has_all(node: Node) -> bool:
    with node.client() as client:
        return client.get(pair(KEYS - 1)[0]) is not None


def _nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    print(make(sys.argv[1]))
