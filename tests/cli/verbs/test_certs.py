"""`replicad certs`: what cannot be in a certificate is said in words, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from replicad.cli.exits import OK, USAGE

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "option, value",
    [
        *(
            ("--host", host)
            for host in ("ü.example", "", "a..b", "10.0.0.1/24", "10.0.0.1:7381", "*.", "*.*.a")
        ),
        ("--days", "9999999"),
        ("--days", "0"),
    ],
)
def test_what_is_not_a_host_or_a_time(run: Run, tmp_path: Path, option: str, value: str) -> None:
    assert run("certs", "init", tmp_path / "ca")[0] == OK
    code, out, err = run("certs", "node", tmp_path / "ca", "paris", option, value)
    assert (code, out) == (USAGE, "")
    assert "Traceback" not in err
    assert sorted(file.name for file in (tmp_path / "ca").iterdir()) == ["ca.crt", "ca.key"]


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_the_name_of_an_authority(run: Run, tmp_path: Path, name: str) -> None:
    assert run("certs", "init", tmp_path / "ca", "--name", name)[:2] == (USAGE, "")


@pytest.mark.parametrize("host", ["10.0.0.1", "fe80::1", "db1.example.com", "*.example.com", "localhost"])
def test_hosts(run: Run, tmp_path: Path, host: str) -> None:
    run("certs", "init", tmp_path)
    assert run("certs", "node", tmp_path, "paris", "--host", host)[0] == OK
