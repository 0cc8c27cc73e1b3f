"""What the kernel was asked, in which order: no OK before the sync of the log that holds the write."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.nodes.daemons import Cluster
from tests.support.waiting import eventually

WRITES = 20
CALL = re.compile(r"(?P<pid>\d+)\s+(?P<name>\w+)\((?P<fd>\d+)<(?P<target>[^>]*)>(?P<rest>.*)")
RESUMED = re.compile(r"(?P<pid>\d+)\s+<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")


@dataclass
class Call:
    """A system call: the lines of the trace where it began and where it returned."""

    name: str
    target: str
    data: str
    begun: int
    returned: int = 1 << 60
    result: str = ""


def calls_of(trace: Path) -> list[Call]:
    calls: list[Call] = []
    unfinished: dict[tuple[str, str], Call] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        if match := CALL.match(line):
            call = Call(match["name"], match["target"], match["rest"], number)
            calls.append(call)
            if "<unfinished" in line:
                unfinished[match["pid"], match["name"]] = call
                continue
        elif match := RESUMED.match(line):
            call = unfinished.pop((match["pid"], match["name"]), Call("", "", "", number))
        else:
            continue
        call.returned = number
        call.result = line.rpartition(" = ")[2]
    return calls


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_ok_before_the_sync_of_its_log(cluster: Cluster, tmp_path: Path) -> None:
    """Between a batch's write to a segment and its OK, an fdatasync of that very segment returned 0."""
    trace = tmp_path / "trace"
    primary = cluster.primary()
    wanted = "trace=write,writev,pwrite64,sendto,sendmsg,fdatasync"
    primary.wrapper = ["strace", "-D", "-f", "-y", "-s", "400", "-o", str(trace), "-e", wanted]
    primary.start()
    with primary.client() as client:
        for number in range(WRITES):
            assert client.set(f"unique-key-{number}.", "value" * 500)
    assert primary.process is not None
    end = re.compile(rf"^{primary.process.pid}\s+\+\+\+ exited with 0", re.MULTILINE)
    assert primary.terminate() == 0
    eventually(lambda: end.search(trace.read_text(errors="replace")) is not None)
    calls = calls_of(trace)
    segments: set[str] = set()
    for number in range(WRITES):
        key = f"unique-key-{number}."
        append = next(call for call in calls if call.target.endswith(".log") and key in call.data)
        ok = next(call for call in calls if call.begun > append.begun and '"+OK' in call.data)
        syncs = [
            call
            for call in calls
            if call.name == "fdatasync"
            and call.target == append.target
            and append.returned < call.begun
            and call.returned < ok.begun
            and call.result == "0"
        ]
        segments.add(append.target)
        assert syncs, f"{key}: written at line {append.begun}, OK at line {ok.begun}, no sync between"
    assert len(segments) > 1, "the log was to rotate meanwhile"
