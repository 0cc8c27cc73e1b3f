"""How blocks are found on a page, and what the checks of commands notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents.blocks import Block, blocks
from tests.documents.command_lines import commands_of, complaints
from tests.documents.machine import Machine

PAGE = """\
# A page

```sh by-hand
make install
```

- an item
  that goes on

    indented = True

    still = True

```text
a drawing
```
"""


def test_every_block_of_a_page_is_found(tmp_path: Path) -> None:
    """Fenced and indented ones, with their lines; an item that goes on is none."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert [(block.kind, block.line, block.text) for block in blocks(page)] == [
        ("sh by-hand", 4, "make install\n"),
        ("indented", 10, "indented = True\n\nstill = True\n"),
        ("text", 15, "a drawing\n"),
    ]


@pytest.mark.parametrize(
    ("text", "has_commands"),
    [("a ──► b\n", False), ("$ replicad status\n", True), ("replicad status :1\n", True)],
)
def test_a_drawing_has_no_commands(text: str, has_commands: bool) -> None:
    """A block that nothing executes cannot hide what a person would run."""
    assert Block(Path(), 1, "text", text).has_commands is has_commands


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("replicad status :6380 --check --lag-seconds 10,60", []),
        ("replicad --user operator --password-file f status :6380", []),
        ("replicad backup restore TARGET DEST --sequence 4", []),
        ("replicad statuss :6380", ["replicad: no verb statuss"]),
        ("replicad backup restor a b", ["backup: no verb restor"]),
        ("replicad verify :6380 --repare", ["verify: no option --repare"]),
    ],
)
def test_a_verb_or_an_option_that_does_not_exist_is_noticed(line: str, complaint: list[str]) -> None:
    assert list(complaints(line)) == complaint


def test_commands_are_found_wherever_a_script_runs_them() -> None:
    """After `&&`, in a pipe, in a loop, and over two lines."""
    script = (
        "cd x && replicad init \\\n  d\nfor f in *; do replicad inspect $f; done\nreplicad digest :1 | cut"
    )
    assert [" ".join(line.split()) for line in commands_of(script)] == [
        "replicad init d",
        "replicad inspect $f",
        "replicad digest :1",
    ]


def test_paths_and_ports_of_a_page_are_those_of_its_machine(tmp_path: Path) -> None:
    """Absolute paths lie below its directory; a port is the same one everywhere, and not the page's."""
    machine = Machine(tmp_path)
    placed = machine.placed("ls /var/lib/x ca/var/y; ping :6380 127.0.0.1:6380 63800 :6390")
    path, relative, one, again, other, last = (*placed.split()[1:3], *placed.split()[4:])
    assert (path, relative, other) == (f"{tmp_path}/var/lib/x", "ca/var/y;", "63800")
    assert one != ":6380" and again == f"127.0.0.1{one}" and last not in (one, ":6390")


def test_a_command_that_fails_fails_its_page(tmp_path: Path) -> None:
    """The script stops at the first command that fails, as a person would."""
    from tests.documents.scenes import Scene

    page = Path(__file__).resolve().parents[2] / "docs" / "README.md"
    for commands, expected in (("true\n", 0), ("false\necho later\n", 1)):
        machine = Machine(tmp_path / str(expected))
        code, output = machine.run(machine.script([Block(page, 1, "sh", commands)], Scene()))
        assert (code, "later" in output) == (expected, False)
