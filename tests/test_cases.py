"""The reader of tables of cases refuses what nobody would notice otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cases import TESTDATA, Case, CaseError, cases

HEAD = "# Sums.\n# a, b    what is added\n\n"
GOOD = HEAD + "# Two and two\na: 2\nb: 2\n----\n4\n\n# One key is left out\na: 2\n----\n2\n"


def read(directory: Path, text: str) -> list[Case]:
    (directory / "sums.txt").write_text(text)
    return cases("sums", directory)


def added(case: Case) -> None:
    case.expect(str(int(case["a"]) + (case.number("b") or 0)))


def test_cases_are_read_and_compared(tmp_path: Path) -> None:
    """Every case has its comment, its keys, and the decision that it expects."""
    both = read(tmp_path, GOOD)
    assert [str(case) for case in both] == ["Two and two", "One key is left out"]
    for case in both:
        added(case)


def test_another_decision_fails(tmp_path: Path) -> None:
    (case,) = read(tmp_path, HEAD + "# Two and two\na: 2\nb: 2\n----\n5\n")
    with pytest.raises(AssertionError, match="Two and two"):
        added(case)


def test_a_key_that_the_test_does_not_know_is_an_error(tmp_path: Path) -> None:
    """It would be a condition that the reader of the file believes in, and nobody checks."""
    (case,) = read(tmp_path, HEAD + "# Two and two\na: 2\nc: 9\n----\n2\n")
    with pytest.raises(CaseError, match="does not know \\['c'\\]"):
        added(case)


def test_a_missing_key_and_a_value_out_of_place_are_errors(tmp_path: Path) -> None:
    (case,) = read(tmp_path, HEAD + "# Nothing\nb: perhaps\n----\n2\n")
    with pytest.raises(CaseError, match="'a' is missing"):
        case["a"]
    with pytest.raises(CaseError, match="yes or no, not 'perhaps'"):
        case.flag("b")
    with pytest.raises(CaseError, match="one of up, down, not 'perhaps'"):
        case.choice("b", "up", "down")


@pytest.mark.parametrize(
    "text",
    [
        GOOD.removeprefix(HEAD),
        HEAD + "a: 2\n----\n2\n",
        HEAD + "# No ruler\na: 2\n2\n",
        HEAD + "# A line that is not a key\na: 2\nsomething\n----\n2\n",
        HEAD + "# A key twice\na: 2\na: 3\n----\n2\n",
        HEAD + "# Twice\na: 2\n----\n2\n\n# Twice\na: 3\n----\n3\n",
    ],
)
def test_what_is_not_a_table_is_an_error(tmp_path: Path, text: str) -> None:
    """No head, no comment, no ruler, a line without a key, a key or a comment that is there twice."""
    with pytest.raises(CaseError):
        read(tmp_path, text)


def test_decisions_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what stands under the ruler changes."""
    wrong = read(tmp_path, GOOD.replace("----\n4\n", "----\n5\nor 6\n"))
    monkeypatch.setenv("WRITE_CASES", "1")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    for case in wrong:
        added(case)
    assert (tmp_path / "sums.txt").read_text() == GOOD


def test_every_file_of_cases_is_read_by_a_test() -> None:
    """A table that no test reads would be believed."""
    tests = "".join(path.read_text() for path in (TESTDATA.parent).rglob("test_*.py"))
    for path in TESTDATA.rglob("*.txt"):
        name = str(path.relative_to(TESTDATA).with_suffix(""))
        assert name.startswith("traces/") or f'cases("{name}")' in tests, name
