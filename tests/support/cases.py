"""Tables of cases as text files: an input, `----`, and what is expected, as in CockroachDB's datadriven.

    # What the file is about, and what the keys mean. A blank line ends this and every case.

    # One line that says what the case shows.
    key: value
    another key: value
    ----
    the decision, in words

A test reads the keys of a case, decides, and calls `expect`. That fails for a decision that is not the one
in the file, and for a key that the test did not ask for. With WRITE_CASES=1 in the environment it writes the
decision into the file instead; the change is then reviewed as a diff.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from replicad.types import Epoch, HistoryHash, Position, Sequence

TESTDATA = Path(__file__).resolve().parents[1] / "testdata"
RULER = "----"


class CaseError(Exception):
    """A file of cases is not what this page says, or a case has a key that its test does not know."""


@dataclass
class Case:
    """One case; it is shown, and chosen with pytest's `-k`, by its comment."""

    path: Path
    says: str
    keys: dict[str, str]
    expected: str
    read: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return self.says

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise self.error(f"the key {key!r} is missing")
        return value

    def get(self, key: str) -> str | None:
        """None for a key that is left out."""
        self.read.add(key)
        return self.keys.get(key)

    def number(self, key: str) -> int | None:
        text = self.get(key)
        return None if text is None else int(text)

    def flag(self, key: str) -> bool:
        """Whether the key says yes; one that is left out says no."""
        text = self.get(key) or "no"
        if text not in ("yes", "no"):
            raise self.error(f"{key!r} is yes or no, not {text!r}")
        return text == "yes"

    def choice(self, key: str, *choices: str) -> str:
        """The value, which must be one of these; the first where the key is left out."""
        text = self.get(key) or choices[0]
        if text not in choices:
            raise self.error(f"{key!r} is one of {', '.join(choices)}, not {text!r}")
        return text

    def error(self, what: str) -> CaseError:
        return CaseError(f"{self.path}: {self.says}: {what}")

    def expect(self, decision: str) -> None:
        """Compares the decision with the file, or writes it there."""
        decision = decision.strip()
        if unknown := self.keys.keys() - self.read:
            raise self.error(f"the test does not know {sorted(unknown)}")
        if "\n\n" in decision:
            raise self.error("a decision cannot have a blank line")
        if "WRITE_CASES" in os.environ:
            self._write(decision)
        else:
            assert decision == self.expected, f"{self.says}\n{decision}"

    def _write(self, decision: str) -> None:
        # Workers of xdist would overwrite each other's decisions.
        assert "PYTEST_XDIST_WORKER" not in os.environ, "WRITE_CASES=1 needs one process: -n 0"
        blocks = self.path.read_text().rstrip("\n").split("\n\n")
        for index, block in enumerate(blocks):
            if block.startswith(f"# {self.says}\n"):
                blocks[index] = block[: block.index(f"\n{RULER}")] + f"\n{RULER}\n{decision}"
        self.path.write_text("\n\n".join(blocks) + "\n")


def cases(name: str, directory: Path = TESTDATA) -> list[Case]:
    """All of `tests/testdata/NAME.txt`. Raises CaseError for anything that does not belong there."""
    path = directory / f"{name}.txt"
    head, *blocks = path.read_text().rstrip("\n").split("\n\n")
    if not all(line.startswith("#") for line in head.splitlines()):
        raise CaseError(f"{path}: the file must begin with a comment on what it is about")

    found = [_case(path, block) for block in blocks]
    twice = {case.says for case in found if [other.says for other in found].count(case.says) > 1}
    if twice:
        raise CaseError(f"{path}: two cases have the comment {twice.pop()!r}")
    return found


def _case(path: Path, block: str) -> Case:
    first, *rest = block.split("\n")
    if not first.startswith("# ") or rest.count(RULER) != 1:
        raise CaseError(f"{path}: a case is one comment, keys, {RULER} and what is expected, not {block!r}")

    case = Case(path, first.removeprefix("# "), {}, "\n".join(rest[rest.index(RULER) + 1 :]))
    for line in rest[: rest.index(RULER)]:
        key, colon, value = line.partition(":")
        if not colon or key in case.keys:
            raise case.error(f"{line!r} is not a new key with its value")
        case.keys[key] = value.strip()
    return case


# Values that several tables have.


def position(text: str) -> Position:
    """`1:40:a40` is epoch 1, sequence number 40 and hash a40. The hash may be left out."""
    match = re.fullmatch(r"(\d+):(\d+)(?::([0-9a-f]+))?", text)
    if match is None:
        raise CaseError(f"{text!r} is not a position")
    return Position(Epoch(int(match[1])), Sequence(int(match[2])), HistoryHash(int(match[3] or "0", 16)))


def with_short_hashes(decision: str) -> str:
    """Positions in a text as `position` reads them: the hash without leading zeros, and none for 0."""
    return re.sub(r"(\d+:\d+):(0{16}|[0-9a-f]{16})", lambda found: _short(found[1], found[2]), decision)


def _short(place: str, history_hash: str) -> str:
    digits = history_hash.lstrip("0")
    return f"{place}:{digits}" if digits else place
