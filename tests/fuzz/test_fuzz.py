"""The corpus under every target, and a short search beyond it. `make fuzz SECONDS=n` looks for longer."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.fuzz import native, seeds
from tests.fuzz.__main__ import replay
from tests.fuzz.corpus import CORPUS, REPOSITORY, corpus_of, target_of
from tests.fuzz.readers import READERS, Reader
from tests.fuzz.search import search

pytestmark = pytest.mark.long

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0.5"))
SEED = 1


@pytest.fixture(scope="module")
def compiled() -> None:
    if not native.is_available():
        warnings.warn(f"the kernels are not fuzzed: {native.PROBLEM}", stacklevel=1)
        pytest.skip(native.PROBLEM)
    native.build()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", native.TARGETS)
def test_kernels_survive_any_bytes(target: str, compiled: None) -> None:
    """A decoder in C++ answers or says Corruption, with nothing for the sanitizers to report."""
    print(f"seed {SEED}")
    ran = native.run(target, seconds=max(1.0, SECONDS), seed=SEED)
    assert not ran.report, f"{ran.report}\nagain: make fuzz CASE={ran.case}"
    assert ran.inputs >= len(corpus_of(target))


@pytest.mark.parametrize("target", READERS)
def test_readers_survive_any_bytes(target: str) -> None:
    """A reader in Python answers or raises its own errors, checksums put right or not."""
    print(f"seed {SEED}")
    found = search(READERS[target], corpus_of(target), seconds=SECONDS, first_seed=SEED)
    if found.error is not None:
        raise found.error
    assert found.inputs >= len(corpus_of(target))


def test_every_target_has_a_corpus() -> None:
    """A target without a corpus would look at noise only, and a corpus without a target at nothing."""
    targets = {*READERS, *native.TARGETS}
    assert seeds.all_seeds().keys() == targets
    assert {path.name for path in CORPUS.iterdir()} == targets
    assert all(corpus_of(target) for target in targets)


def test_the_search_finds_a_failure_behind_a_checksum() -> None:
    """A reader that breaks on one byte where the checksum is right is caught, and breaks on what is kept."""

    def break_on_seven(data: bytes) -> None:
        if data[:4] == b"good":
            assert 7 not in data[4:], "a seven"

    reader = Reader(break_on_seven, repair=lambda data: b"good" + data[4:])
    # By rounds, which the seed decides, and not by time: what it finds does not depend on the machine.
    found = search(reader, [b"xxxx1234"], seconds=math.inf, first_seed=SEED, rounds=40)
    assert found.failing is not None
    with pytest.raises(AssertionError, match="a seven"):
        reader.run(found.failing)


def test_the_command_runs_a_target_and_tells_seed_and_counts() -> None:
    """`make fuzz` gives each target a process of its own, and ends with 0 when nothing failed."""
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--seconds",
        "1",
        "--seed",
        "3",
        "--targets",
        "state",
        "name",
    ]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"seed 3: \d+ inputs read by 2 targets, 0 failed", ran.stdout)


def test_a_case_is_read_again_by_its_name(tmp_path: Path) -> None:
    """One command reads a kept input, or any file of the corpus, with the target that it is of."""
    case = tmp_path / "state-0123456789ab"
    case.write_bytes(b"\xc0")
    assert target_of(case) == "state"
    assert replay(case) == 0
    assert target_of(next((CORPUS / "wire").iterdir())) == "wire"
