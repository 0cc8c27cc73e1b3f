"""How bytes, sizes and spans are shown."""

from __future__ import annotations

import doctest

import pytest

from replicad.cli import output


def test_examples() -> None:
    """The examples in the docstrings are true."""
    assert doctest.testmod(output).failed == 0


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain text", "plain text"),
        (b"\xff\x00", "\\xff\\x00"),
        ("käse".encode(), "käse"),
        (b"back\\slash", "back\\\\slash"),
        (b"\x1b[31m\r\n", "\\x1b[31m\\r\\n"),
        (b"x" * 65, "x" * 64 + "… (65 bytes)"),
    ],
)
def test_bytes(data: bytes, shown: str) -> None:
    """Bytes of a stranger cannot move the cursor, and lose nothing that matters."""
    assert output.show_bytes(data) == shown
