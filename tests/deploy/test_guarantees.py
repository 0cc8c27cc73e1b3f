"""docs/guarantees.md names the proof of each promise: each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_guarantee_names_a_test_that_exists() -> None:
    """Each sentence of the page ends with a file of tests, or one test of it, under its present name."""
    text = (REPOSITORY / "docs" / "guarantees.md").read_text()
    section = text[: text.index("## Not promised")]
    promises = re.split(r"^- ", section, flags=re.MULTILINE)[1:]
    assert len(promises) > 20
    for promise in promises:
        named = re.findall(r"`(tests/[a-z_/]+\.py)(?:::(\w+))?`", promise)
        assert named, promise
        for path, test in named:
            tree = ast.parse((REPOSITORY / path).read_text())
            tests = {
                node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert any(name.startswith("test_") for name in tests), path
            assert not test or test in tests, f"{path}::{test}"
