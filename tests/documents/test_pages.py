"""README.md and docs/: every block of code on them is executed, or checked in another way that is named."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from replicad.cli.health.runbook import Runbook
from tests.documents.blocks import KINDS, PAGES, REPOSITORY, Block, blocks, name_of
from tests.documents.command_lines import commands_of, complaints
from tests.documents.machine import SKIPPED, Machine
from tests.documents.scenes import FOLDER, path_of, scene_of

BLOCKS = [block for page in PAGES for block in blocks(page)]
BY_HAND = [block for block in BLOCKS if block.kind == "sh by-hand"]
EXECUTED = [page for page in PAGES if any(each.kind in ("sh", "python", "toml") for each in blocks(page))]

PRIVILEGED = frozenset(
    {"dmesg", "install", "journalctl", "make", "mount", "replicad", "rm", "smartctl", "sudo", "systemctl"}
    | {"apt-get", "systemd-sysusers", "systemd-tmpfiles", "tail", "timedatectl"}
)
"""The programs of blocks that nobody runs in a test: with root, for minutes, or on a machine of their own."""


def _marked(page: Path) -> Any:
    """The pages of the runbook take a minute together."""
    marks = [pytest.mark.long] if page.parent.name == "runbook" else []
    return pytest.param(page, id=name_of(page), marks=marks)


def ids(block: Block) -> str:
    return str(block)


@pytest.mark.parametrize("page", [_marked(page) for page in EXECUTED])
def test_the_page_works_as_it_stands(page: Path, tmp_path: Path) -> None:
    """Its blocks run in their order on an empty machine, and what the page says of them is so."""
    machine = Machine(tmp_path)
    script = machine.script(blocks(page), scene_of(page))
    for program in ("redis-cli", "curl"):
        if shutil.which(program) is None and (program in script or page.parent.name == "runbook"):
            pytest.skip(f"*** {program} is not installed: {name_of(page)} is not executed ***")
    code, output = machine.run(script)
    if code == SKIPPED:
        pytest.skip(f"*** {name_of(page)} is not executed: {output.strip().splitlines()[-1]} ***")
    logs = "\n".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in tmp_path.glob("*.log"))
    assert code == 0, f"exit code {code}\n{output}\n{logs}"


@pytest.mark.parametrize("block", BLOCKS, ids=ids)
def test_every_block_is_checked(block: Block) -> None:
    """A block without a kind, or of a kind that nothing checks, could say anything."""
    assert block.kind in KINDS, f"{block}: a block of the kind {block.kind!r} is not checked by anything"
    if block.kind == "text":
        assert not block.has_commands, f"{block}: commands stand in blocks of the kind sh"


@pytest.mark.parametrize("block", BY_HAND, ids=ids)
def test_what_only_an_operator_runs_is_written_correctly(block: Block) -> None:
    """Bash reads it, and its programs are those that need root, systemd or minutes."""
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||[|;]", line.partition("#")[0]):
            program, *words = part.split() or [""]
            assert not program or program in PRIVILEGED, f"{block}: {program}"
            if program == "make":
                targets = [word for word in words if re.fullmatch(r"[a-z-]+", word)]
                for target in targets:
                    assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_verbs_and_options_exist(page: Path) -> None:
    """Of each command in a block, and of each one that a sentence quotes."""
    text = page.read_text()
    quoted = [match[1].replace("\n", " ") for match in re.finditer(r"(?<!`)`(replicad [^`]+)`(?!`)", text)]
    named = [
        line for block in blocks(page) if block.kind.startswith("sh") for line in commands_of(block.text)
    ]
    assert [f"{line}: {each}" for line in [*quoted, *named] for each in complaints(line)] == []


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.sh")), ids=lambda path: path.stem)
def test_every_scene_belongs_to_a_page(path: Path) -> None:
    """What a scene says stands around blocks stands around one block each."""
    (page,) = [page for page in PAGES if path_of(page) == path]
    assert scene_of(page).strangers(blocks(page)) == []


def test_every_finding_has_its_page_and_every_page_its_finding() -> None:
    """`replicad status` names the pages of the runbook, and there are no others."""
    pages = {path.stem for path in REPOSITORY.glob("docs/runbook/*.md")} - {"README"}
    assert pages == {str(page) for page in Runbook}
    sources = "\n".join(path.read_text() for path in (REPOSITORY / "replicad/cli/health").glob("*.py"))
    assert [page.name for page in Runbook if f"Runbook.{page.name}" not in sources] == []


@pytest.mark.parametrize("page", list(Runbook))
def test_a_page_of_the_runbook_says_what_a_person_needs(page: Runbook) -> None:
    """What it means, how to see it, what to do, what not to do, and when it is over."""
    text = (REPOSITORY / page.path).read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["See it", "Do", "Do not", "It is over when"]
    assert re.match(r"# .+\n\n\S", text)
    assert f"({page}.md)" in (REPOSITORY / "docs/runbook/README.md").read_text()
