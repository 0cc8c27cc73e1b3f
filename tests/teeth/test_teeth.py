"""A slice of `make teeth`: every mutation fits the code, and one of each trap is caught."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.teeth.every import MUTATIONS
from tests.teeth.mutation import TRAPS, Mutation, Stale
from tests.teeth.table import table, table_in
from tests.teeth.trial import REPOSITORY, try_out

SLICE = (
    "the name of a directory that is there already is not synced",
    "a failed sync is tried once more",
    "every damage is a torn tail",
    "the digest of a fetched file is not checked",
    "history hashes are not compared",
    "retention takes log that somebody holds",
    "a full disk stops the store",
    "a slot's cap is ignored",
    "a block's checksum says nothing of its place",
    "any file name is taken",
)


def test_every_mutation_fits_the_code() -> None:
    """The text that it changes is there, once; names are given once; the tests that it names exist."""
    for mutation in MUTATIONS:
        mutation.applied((REPOSITORY / mutation.file).read_text())
        for test in mutation.caught_by:
            path, _, function = test.partition("::")
            assert f"def {function.split('[')[0]}" in (REPOSITORY / path).read_text(), test
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert {mutation.trap for mutation in MUTATIONS} == set(TRAPS)


def test_no_mutation_uses_a_name_that_its_file_does_not_have(tmp_path: Path) -> None:
    """It would be caught for that name, whatever the tests look at."""
    for number, mutation in enumerate(MUTATIONS):
        if not mutation.is_compiled:
            mutated = mutation.applied((REPOSITORY / mutation.file).read_text())
            (tmp_path / f"{number}_{Path(mutation.file).name}").write_text(mutated)
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F821", tmp_path],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_table_is_the_list() -> None:
    """tests/teeth/README.md says what there is: `python -m tests.teeth --table` writes it."""
    assert table_in((REPOSITORY / "tests" / "teeth" / "README.md").read_text()) == table(MUTATIONS)


@pytest.mark.parametrize("name", SLICE)
def test_it_is_caught(name: str) -> None:
    """With the mutation the test that is named fails."""
    (mutation,) = (mutation for mutation in MUTATIONS if mutation.name == name)
    verdict = try_out(mutation)
    assert verdict.caught, verdict.says


def test_what_changes_nothing_survives(tmp_path: Path) -> None:
    """What no test can see is told apart from what is caught, and a text that is gone is an error."""
    harmless = Mutation(
        trap=1,
        name="a comment",
        file="replicad/env/atomic.py",
        old='"""A few things',
        new='"""Many things',
        caught_by=("tests/env/test_local.py",),
    )
    verdict = try_out(harmless)
    assert not verdict.caught and verdict.says == "the tests pass"
    with pytest.raises(Stale, match="a comment"):
        harmless.applied("something else")
