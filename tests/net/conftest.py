"""Authorities: ours, and one that nobody here trusts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.certificates import Authority


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "ours")


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "other")
