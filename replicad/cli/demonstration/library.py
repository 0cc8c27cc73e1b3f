"""The real input: every regular file of the running Python's standard library."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from replicad.options import VALUE_BYTES_MAX

_LEFT_OUT = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file: its key is the path below the library, its value the content."""

    path: Path
    key: bytes
    size_bytes: int


def standard_library() -> list[SourceFile]:
    """All files in key order, symbolic links and installed packages left out."""
    return sorted(_files(Path(sysconfig.get_path("stdlib"))), key=lambda file: file.key)


def _files(root: Path) -> Iterator[SourceFile]:
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if name not in _LEFT_OUT]
        for name in files:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink():
                size_bytes = path.stat().st_size
                if size_bytes <= VALUE_BYTES_MAX:
                    yield SourceFile(path, os.fsencode(path.relative_to(root)), size_bytes)
