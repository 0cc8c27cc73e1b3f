"""A few things done with a file system so often that they must be done in one way."""

from __future__ import annotations

import errno
from pathlib import Path

from replicad.env.filesystem import Bytes, FileSystem

COPY_CHUNK_BYTES = 1 << 20


def replace_file(fs: FileSystem, path: Path, data: Bytes) -> None:
    """Makes `data` the content of `path`, durably: after a crash it is the old or the new, whole."""
    publish_file(fs, stage_file(fs, path, data), path)


def stage_file(fs: FileSystem, path: Path, data: Bytes) -> Path:
    """The first half of `replace_file`: writes and syncs the new content beside `path`, which stays."""
    staged = _staged(path)
    fs.unlink(staged)
    file = fs.create(staged)
    try:
        file.append(data)
        file.sync()
    finally:
        file.close()
    return staged


def publish_file(fs: FileSystem, staged: Path, path: Path) -> None:
    """The second half. When it fails, which of the two is there is unknown."""
    fs.rename(staged, path)
    fs.sync_directory(path.parent)


def copy_file(fs: FileSystem, source: Path, target: Path, length: int | None = None) -> None:
    """Copies the first `length` bytes (all by default) into a new file and syncs it, not its directory."""
    reader = fs.open(source)
    writer = fs.create(target)
    try:
        left = reader.size() if length is None else length
        offset = 0
        while left:
            data = reader.read(offset, min(left, COPY_CHUNK_BYTES))
            if not data:
                raise OSError(f"{source} ended at offset {offset}, {left} bytes short")
            writer.append(data)
            offset += len(data)
            left -= len(data)
        writer.sync()
    finally:
        reader.close()
        writer.close()


def rewrite_file(fs: FileSystem, path: Path, length: int | None = None) -> None:
    """Puts a synced copy of the first `length` bytes (all by default) in the place of the file.

    For a file that must not be changed where it lies: it may be hard-linked, or its pages may be in doubt.
    Until the caller syncs the directory a crash can bring the old file back; it is whole.
    """
    staged = _staged(path)
    fs.unlink(staged)
    copy_file(fs, path, staged, length)
    fs.rename(staged, path)


def link_or_copy(fs: FileSystem, source: Path, target: Path) -> bool:
    """A hard link (True), or a synced copy where the file system has none."""
    try:
        fs.link(source, target)
        return True
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        copy_file(fs, source, target)
        return False


def _staged(path: Path) -> Path:
    """Where the new content of `path` is made. The next opening removes what a crash leaves there."""
    return path.with_name(path.name + ".tmp")
