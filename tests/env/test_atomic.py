"""What a crash leaves of a file that is being replaced."""

from __future__ import annotations

import random
from pathlib import Path

from replicad.env.atomic import replace_file
from tests.crash.states import Medium, Thoroughness
from tests.support.files.memory_filesystem import MemoryFileSystem

OLD, NEW = b"old " * 200, b"new " * 400
EVERY = Thoroughness(contents=8, orders=16, mixtures=8)


def test_a_replaced_file_is_the_old_or_the_new_one() -> None:
    """Whole, at every moment and whatever reached the medium; and the new one when the call has returned."""
    fs = MemoryFileSystem({"/data/": b"", "/data/file": OLD})
    medium, draw = Medium(fs), random.Random(1)
    replace_file(fs, Path("/data/file"), NEW)
    found: set[bytes | None] = set()
    for operation in list(fs.journal):
        medium.apply(operation)
        found = {state.image.get("/data/file") for state in medium.states(EVERY, draw)}
        assert found <= {OLD, NEW}
    assert found == {NEW}
