"""Attachments on their way to where they belong; other files there are left alone.

Everything that could keep one from getting there is found before anything is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from replicad.backup.attachment_names import STAGING
from replicad.backup.meta import BackupFile
from replicad.backup.restore.destination import Destination
from replicad.backup.restore.staging import is_staged_name
from replicad.env import Env, FileSystem
from replicad.errors import InvalidArgument


def check_places(
    env: Env, destination: Destination, files: Iterable[BackupFile], target: Path | None
) -> None:
    """Raises InvalidArgument, which names the attachment, unless each can be put where it belongs.

    `target` is where the backups are, if that is a directory.
    """
    place, paths = destination.attachments, [file.path for file in files]
    if not paths:
        return
    _check_apart(destination, paths, target)
    _check_obstacles(env.fs, place, paths)
    for name in env.fs.list(place / STAGING):
        if not is_staged_name(name):
            raise InvalidArgument(
                f"{place / STAGING} is where attachments are gathered, and holds {name!r}: move that away"
            )


def _check_apart(destination: Destination, paths: Iterable[str], target: Path | None) -> None:
    """No attachment among files of ours: in the database's directory, in its log's, or at the target."""
    place = destination.attachments.resolve()

    # The usual place is within the database's directory, where a name is kept for it.
    if place.is_relative_to(destination.usual_attachments.resolve()):
        return

    for ours in (destination.path, destination.wal_dir, target):
        if ours is None:
            continue
        ours = ours.resolve()
        if place.is_relative_to(ours):
            raise InvalidArgument(
                f"attachments cannot go to {place}: {ours} has files of replicad; name another directory"
            )

        # A directory of ours may lie within `place`: then only an attachment whose path leads there is
        # refused.
        if not ours.is_relative_to(place):
            continue
        for path in paths:
            if (place / path).is_relative_to(ours) or ours.is_relative_to(place / path):
                raise InvalidArgument(
                    f"attachment {path!r} cannot go to {place}: it would be among the files of {ours}; name "
                    "another directory for attachments"
                )


def _check_obstacles(fs: FileSystem, place: Path, paths: Iterable[str]) -> None:
    directories: dict[Path, str] = {place: "."}
    for path in paths:
        for parent in (place / path).parents:
            if parent == place or not parent.is_relative_to(place):
                break
            directories.setdefault(parent, path)

        if fs.exists(place / path) and _is_directory(fs, place / path):
            raise InvalidArgument(
                f"{place / path} is a directory, and an attachment is a file there: move it away, or name "
                "another directory for attachments"
            )

    for directory, path in directories.items():
        if fs.exists(directory) and not _is_directory(fs, directory):
            raise InvalidArgument(
                f"{directory} is a file, and attachment {path!r} needs a directory there: move it away, or "
                "name another directory for attachments"
            )


def _is_directory(fs: FileSystem, path: Path) -> bool:
    try:
        fs.list(path)
    except NotADirectoryError:
        return False
    return True


def present(fs: FileSystem, place: Path, files: Iterable[BackupFile]) -> dict[Path, int]:
    """Size of what is at the places of attachments already."""
    found = {}
    for file in files:
        path = place / file.path
        if fs.exists(path):
            found[path] = fs.size(path)
    return found


def settle(fs: FileSystem, place: Path, paths: Iterable[str]) -> None:
    """Makes those durable that are in place already, also those that somebody else wrote."""
    parents = set()
    for path in paths:
        fs.sync_file(place / path)
        parents.add((place / path).parent)
    _sync(fs, parents)


def put_in_place(fs: FileSystem, place: Path, staged: Mapping[str, Path], *, replacing: bool) -> None:
    """Moves staged files to where nothing is yet or, `replacing`, to where something is. Others stay."""
    parents = set()
    for path, source in staged.items():
        if fs.exists(source) and fs.exists(place / path) is replacing:
            fs.make_directories((place / path).parent)
            fs.rename(source, place / path)
            parents.add((place / path).parent)
    _sync(fs, parents)


def _sync(fs: FileSystem, parents: Iterable[Path]) -> None:
    for parent in parents:
        fs.sync_directory(parent)
