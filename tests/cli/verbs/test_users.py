"""`replicad users`: what is no secret does not become one."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable

import pytest

from replicad.cli.exits import OK, USAGE
from replicad.server.access.secrets import SECRET_BYTES_MAX, Password, token_sha256

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "verb, given, refusal",
    [
        ("digest", "", "this is not a token"),
        ("digest", "\n", "this is not a token"),
        ("digest", "short\n", "this is not a token"),
        ("digest", "t" * (SECRET_BYTES_MAX + 1), "a token has at most 1024 bytes"),
        ("hash", "1234567\n", "a password has at least 8 characters"),
        ("hash", "é" * (SECRET_BYTES_MAX // 2 + 1), "a password has at most 1024 bytes"),
    ],
)
def test_what_would_let_anybody_or_nobody_in_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, verb: str, given: str, refusal: str
) -> None:
    """A file of a token that was not written is empty, and the server looks at no more than so many bytes."""
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    code, out, err = run("users", verb)
    assert (code, out) == (USAGE, "")
    assert refusal in err


def test_the_lines_of_a_token_are_a_table_of_the_configuration(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run("users", "token", "app")
    assert code == OK
    assert tomllib.loads(err)["users"]["app"]["token_sha256"] == token_sha256(out.strip())
    for name in ("", "a b", 'a"]', "ü", "x" * 65):
        assert run("users", "token", name)[:2] == (USAGE, "")

    monkeypatch.setattr("sys.stdin", io.StringIO(out))
    assert run("users", "digest")[1].strip() == token_sha256(out.strip())
    monkeypatch.setattr("sys.stdin", io.StringIO("é" * (SECRET_BYTES_MAX // 2)))
    assert Password(run("users", "hash")[1].strip()).is_right("é".encode() * (SECRET_BYTES_MAX // 2))
