"""docs/configuration.md has every section and every key, and nothing else."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.config import _PARTS, FLAGS_ONLY, LogConfig, ReplicaConfig
from replicad.options import GIB, KIB, MIB, FamilyOptions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
UNITS = {"": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}


def section(title: str) -> dict[str, str]:
    """The default by key that the page gives there."""
    text = PAGE.read_text().split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): row[2].strip() for row in rows}


@pytest.mark.parametrize(
    ("title", "kind"), [*_PARTS.items(), ("store.families.NAME", FamilyOptions)], ids=lambda each: str(each)
)
def test_every_option_has_its_line(title: str, kind: type[Any]) -> None:
    """The keys are those of the class of options; numbers and words are its defaults."""
    shown = section(f"[{title}]")
    options = {one.name: one.default for one in fields(kind) if one.name != "create_if_missing"}
    assert list(shown) == list(options)
    for name, default in options.items():
        assert default is not MISSING
        if isinstance(default, bool):
            assert shown[name] == f"`{str(default).lower()}`"
        elif isinstance(default, str):
            assert shown[name] == f'`"{default}"`'
        elif default is not None:
            match = re.fullmatch(r"([\d.]+) ?([KMG]iB)?", shown[name])
            assert match, name
            assert float(match[1]) * UNITS[match[2] or ""] == default, name


def test_the_rest_of_the_file_is_there() -> None:
    """The keys before the first section, and those of [log]."""
    assert set(section("Before the first section")) == set(ReplicaConfig.model_fields) - {
        *_PARTS,
        *FLAGS_ONLY,
        "log",
    }
    assert set(section("[log]")) == set(LogConfig.model_fields)
