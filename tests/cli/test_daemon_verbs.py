"""The daemons' verbs: what stops them before they start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from replicad.cli.exits import BAD_CONFIGURATION


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["primary"], "data is missing"),
        (["primary", "--data", "d", "--listen", "0.0.0.0:6380"], "only loopback addresses"),
        (["primary", "--data", "d", "--durability", "maybe"], "durability"),
        (["replica", "--data", "d"], "primary is missing"),
        (["replica", "--data", "d", "--primary", "nonsense"], "is not HOST:PORT"),
        (["primary", "--config", "none.toml"], "none.toml"),
    ],
)
def test_bad_configuration(
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    reason: str,
) -> None:
    """A configuration that cannot be used is one line that names the key, with exit code 78."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (BAD_CONFIGURATION, "")
    assert reason in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
