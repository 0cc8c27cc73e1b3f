"""The check of circles finds what it should, and this repository has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint_circles import check

HIDDEN = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from replicad.store.b import B\n"

FROM_A = "from replicad.store import a\nclass B: ...\n"


def breaches(tmp_path: Path, files: dict[str, str]) -> list[str]:
    for name, source in files.items():
        path = tmp_path / "replicad" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        (path.parent / "__init__.py").touch()
    return check(tmp_path / "replicad")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"store/a.py": "import replicad.store.b\n", "store/b.py": ""}, ""),
        (
            {"store/a.py": HIDDEN, "store/b.py": "from replicad.store import a\nclass B: ...\n"},
            "circle of modules",
        ),
        (
            {
                "store/wal/a.py": "from replicad.store.table import b\n",
                "store/wal/c.py": "",
                "store/table/b.py": "",
                "store/table/d.py": "from replicad.store.wal import c\n",
            },
            "circle of rooms",
        ),
        ({"store/a.py": "class A: ...\n", "cli/b.py": "class A: ...\n"}, "class A is defined twice"),
    ],
)
def test_circles_and_names_of_two_classes_are_found(
    tmp_path: Path, files: dict[str, str], found: str
) -> None:
    """Circles of modules and of rooms, hidden ones too, and names that two classes have."""
    said = breaches(tmp_path, files)
    assert any(found in line for line in said) if found else said == []


def test_this_repository_has_no_circle_but_the_known_ones() -> None:
    assert check(Path(__file__).resolve().parent.parent / "replicad") == []
