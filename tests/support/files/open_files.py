"""The files that a process has open."""

from __future__ import annotations

import contextlib
from pathlib import Path


def open_files(directory: Path, process: int | str = "self") -> list[str]:
    """Those below the directory, removed ones too: their names end in " (deleted)"."""
    found = []
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(descriptor.readlink()))
    return [path for path in found if path.startswith(str(directory))]
