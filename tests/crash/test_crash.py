"""A slice of `make crash`: some crashes of every workload, each with some crashes of its recovery."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.__main__ import replay
from tests.crash.cases import Case, load
from tests.crash.explore import Limits, Report, Share, explore
from tests.crash.states import Thoroughness
from tests.crash.workloads import WORKLOADS
from tests.support.files.memory_filesystem import MemoryFileSystem

pytestmark = pytest.mark.long

SEED = 1
SLICE = Limits(
    first=Thoroughness(contents=8, orders=8, mixtures=2),
    second=Thoroughness(contents=3, orders=4, mixtures=0),
    second_states=3,
)


def told(report: Report) -> str:
    return "\n\n".join(f"{case.wrong}\n{case.story}" for case in report.failures)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_state_recovers(workload: str) -> None:
    """Whatever a crash leaves opens unaided and holds the first n batches, with all that was promised."""
    report = explore(Share(workload, SEED, part=0, parts=4, limits=SLICE))
    print(f"seed {SEED}: {len(report.keys)} distinct states")
    assert not report.failures, told(report)
    assert len(report.keys) > 20


@pytest.mark.parametrize("call", ["sync_directory", "sync_inode"])
def test_a_sync_that_does_nothing_is_noticed(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The enumeration fails for a store whose syncs do nothing."""
    monkeypatch.setattr(MemoryFileSystem, call, lambda *arguments: None)
    assert explore(Share("put", SEED, part=0, parts=1, limits=Limits(second_states=0))).failures


def test_a_kept_case_is_wrong_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is kept of a failure is enough to see it once more, and to see it gone."""
    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "sync_directory", lambda *arguments: None)
        report = explore(Share("put", SEED, part=0, parts=1, limits=Limits(second_states=0)))
    case: Case = report.failures[0]
    path = case.save(tmp_path)
    assert load(path) == case
    assert path.stat().st_size < 64 * 1024
    assert replay(path) == 1
    fine = Case(case.workload, case.seed, case.wrong, case.story, case.expectation, {})
    assert replay(fine.save(tmp_path)) == 0
