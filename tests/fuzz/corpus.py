"""The corpus in the tree, one directory a target, and where failing inputs and compiled targets are kept.

`python -m tests.fuzz.seeds` writes the seeds; an input that once failed stands beside them under a name that
says what was wrong with it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus"
BUILD = REPOSITORY / "build" / "fuzz"
CASES = BUILD / "cases"


def corpus_of(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def keep(target: str, data: bytes) -> Path:
    """A case, under a name that `target_of` knows."""
    CASES.mkdir(parents=True, exist_ok=True)
    path = CASES / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def target_of(case: Path) -> str:
    """Of a kept case, or of a file of the corpus."""
    if case.resolve().is_relative_to(CORPUS):
        return case.resolve().parent.name
    return case.name.partition("-")[0]
