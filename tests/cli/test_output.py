"""How bytes, sizes and spans are shown."""

from __future__ import annotations

import doctest

import pytest

from replicad.cli import output
from replicad.cli.document import print_document
from replicad.units import show_time


def test_the_examples_in_the_docstrings_are_true() -> None:
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
def test_bytes_of_a_stranger_cannot_move_the_cursor(data: bytes, shown: str) -> None:
    """Bytes of a stranger cannot move the cursor, and lose nothing that matters."""
    assert output.show_bytes(data) == shown


@pytest.mark.parametrize(
    ("time_us", "shown"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
        (2**64 - 1, "18446744073709551615 µs"),
    ],
)
def test_a_time_that_no_calendar_has_is_shown_as_its_number(time_us: int, shown: str) -> None:
    """A time that no calendar has, as a damaged frame may hold, is shown as its number."""
    assert show_time(time_us) == shown


def test_a_document_is_shown_in_units_and_without_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last word of a name is its unit. Nodes hand on what others told them."""
    print_document(
        {
            "log_bytes": 2048,
            "rate_bytes": 1,
            "copy_bytes_per_second": 0,
            "size_bytes_total": 1,
            "age_seconds": 0,
        }
    )
    print_document({"name": "\x1b[2J", "path": ["\x07"]})
    lines = [line.split("  ")[-1].strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["2.0 KiB", "1 B/s", "0 B/s", "1 B", "0s", "\\x1b[2J", "\\x07"]
