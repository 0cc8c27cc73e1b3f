"""The daemons' verbs: what stops them before they start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from replicad.cli.exits import BAD_CONFIGURATION, USAGE


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["primary"], "--data is missing"),
        (["primary", "--data", "d", "--replication", "x"], "'--replication': 'x' is not HOST:PORT"),
        (["primary", "--data", "d", "--http", ":99999"], "'--http': ':99999' is not HOST:PORT"),
        (
            ["primary", "--data", "d", "--durability", "maybe"],
            "'--durability': 'maybe' is none of sync, async",
        ),
        (["primary", "--data", "d", "--log", "xml"], "'--log': 'xml' is none of"),
        (["replica", "--data", "d"], "--primary is missing"),
        (["replica", "--data", "d", "--primary", "nonsense"], "'--primary': 'nonsense' is not HOST:PORT"),
    ],
)
def test_a_bad_or_missing_flag_is_named(
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    reason: str,
) -> None:
    """A flag that cannot be meant, or is missing, is named, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (USAGE, "")
    assert reason in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "node.toml: No such file"),
        ("", "data is missing"),
        ("data = 'd'\nlisten = '0.0.0.0:6380'", "listen: 0.0.0.0:6380 is refused"),
        ("data = 'd'\n[store]\ndurability = 'maybe'", "durability"),
    ],
)
def test_a_bad_configuration_is_one_line_that_names_the_key(
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    reason: str,
) -> None:
    """A file that cannot be used is one line that names the key, with exit code 78."""
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "node.toml").write_text(text)
    code, out, err = run("primary", "--config", "node.toml")
    assert (code, out) == (BAD_CONFIGURATION, "")
    assert reason in err
    assert err.count("\n") == 1
    assert not (tmp_path / "d").exists()


def test_a_bad_variable_is_one_line_that_names_it(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is a layer of the configuration, also where there is no file."""
    monkeypatch.setenv("REPLICAD_DATA", str(tmp_path / "d"))
    monkeypatch.setenv("REPLICAD_LISTEN", "nonsense")
    code, out, err = run("primary")
    assert (code, out) == (BAD_CONFIGURATION, "")
    assert "REPLICAD_LISTEN: listen = \"nonsense\": 'nonsense' is not HOST:PORT" in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
