"""The check of asserts finds those that do work, and this repository has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint_asserts import check

PACKAGE = Path(__file__).resolve().parent.parent / "replicad"


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("assert run == len(runs) and isinstance(run, int)", 0),
        ("assert all(one.end == two.start for one, two in pairwise(parts))", 0),
        ("assert merger.add_run() == 0", 1),
        ("assert (taken := queue) is not None", 1),
        ("assert take(3)", 1),
    ],
)
def test_an_assert_only_looks(tmp_path: Path, source: str, refused: int) -> None:
    """Calls that may have an effect are named with their line, harmless functions are not."""
    (tmp_path / "part.py").write_text(f"{source}\n")
    assert len(check(tmp_path)) == refused


def test_the_package_keeps_it() -> None:
    """No assert of ours does work."""
    assert check(PACKAGE) == []
