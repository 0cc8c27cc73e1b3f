"""The documents say what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.commands_page import PAGE, page

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
        *REPOSITORY.glob("proto/*.md"),
        *REPOSITORY.glob("tests/**/*.md"),
    ]
)


def test_the_page_of_commands_is_the_table() -> None:
    """`python -m tests.deploy.commands_page` writes it."""
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document: Path) -> None:
    """To a file of the repository, from wherever the page lies."""
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_that_are_named_exist(document: Path) -> None:
    """In code quotes and with their folder: `replicad/…`, `tests/…`, `proto/…`, `docs/…`, `deploy/…`."""
    for named in re.findall(r"`((?:replicad|tests|proto|docs|deploy)/[\w./-]+)`", document.read_text()):
        assert (REPOSITORY / named).exists(), named


def test_every_page_is_in_the_index() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text()
    for document in REPOSITORY.glob("docs/*.md"):
        assert document.name == "README.md" or f"({document.name})" in index, document.name


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_to_a_section_lead_to_one(document: Path) -> None:
    """`page.md#a-heading` is a heading of that page, as GitHub writes it in an address."""
    for target, section in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text()):
        page = (document.parent / target) if target else document
        headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert section in anchors, f"{target}#{section}"
