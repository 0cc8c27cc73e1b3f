"""What happens around the blocks of a page: a file in `scenes/` of the same name as the page, in sections.

    #: not simulated: WHY  (a page of the runbook) the scene does not cause what the page is about
    #: given              before the first block: the nodes, and what is wrong with them
    #: before TEXT        before the block with a line that begins with TEXT: what a person waits for
    #: after TEXT         after that block: what it must have said (`said`), and done
    #: end                after the last block

The functions are those of `library.sh`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.documents.blocks import Block, name_of

FOLDER = Path(__file__).resolve().parent / "scenes"
_HEADING = re.compile(r"^#: (not simulated: .+|given|end|(?:before|after) .+)\n", re.MULTILINE)


@dataclass
class Scene:
    given: str = ""
    end: str = ""
    is_simulated: bool = True
    around: list[tuple[str, str, str]] = field(default_factory=list)
    """When, the beginning of a line, and the commands."""

    def at(self, when: str, block: Block) -> str:
        return "\n".join(text for each, start, text in self.around if each == when and begins(block, start))

    def strangers(self, blocks: list[Block]) -> list[str]:
        """Beginnings that not exactly one block has."""
        return [start for _, start, _ in self.around if sum(begins(block, start) for block in blocks) != 1]


def begins(block: Block, start: str) -> bool:
    return any(line.startswith(start) for line in block.text.splitlines())


def path_of(page: Path) -> Path:
    return FOLDER / Path(name_of(page)).with_suffix(".sh")


def scene_of(page: Path) -> Scene:
    path = path_of(page)
    scene = Scene()
    if not path.exists():
        return scene
    _, *parts = _HEADING.split(path.read_text())
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        when, _, start = heading.partition(" ")
        if when in ("given", "end"):
            setattr(scene, when, text)
        elif when == "not":
            scene.is_simulated = False
        else:
            scene.around.append((when, start, text))
    return scene
