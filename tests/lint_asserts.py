"""Holds what an `assert` may do: look, and change nothing, for under `python -O` it is not there.

Calls in an assert are limited to functions that cannot have an effect. `make lint` runs this file.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

HARMLESS = frozenset(
    {"all", "any", "callable", "isinstance", "issubclass", "len", "pairwise", "set", "sorted"}
)
"""Functions without an effect on what they are given."""


def effects(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of each call, assignment or await within an assert that might do something."""
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.Assert):
            continue
        for node in ast.walk(statement.test):
            harmless = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HARMLESS
            )
            if (
                isinstance(node, ast.Call | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom)
                and not harmless
            ):
                yield statement.lineno, ast.unparse(node)


def check(package: Path) -> list[str]:
    """One line for each assert under a directory that may do more than look."""
    return [
        f"{path}:{line}: an assert calls {text}, which python -O leaves out: call it before"
        for path in sorted(package.rglob("*.py"))
        for line, text in effects(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    ]


def main() -> int:
    breaches = check(Path(__file__).resolve().parent.parent / "replicad")
    for breach in breaches:
        print(breach, file=sys.stderr)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
