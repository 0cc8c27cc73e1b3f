"""Which names attachments may have: one rule, held when a backup is made, verified and restored.

A backup that is there can be restored, on any file system: so what some file system would refuse, or take for
the same name, is refused when the backup is made. Names of ours are never among theirs: a restore gathers
attachments in one directory, whose name no attachment may begin with, under names that say their content.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from replicad.backup.names import check_path
from replicad.errors import InvalidArgument

STAGING = ".replicad-restore"
"""Where a restore gathers attachments, within the directory that they go to."""
PART_BYTES_MAX = 255
"""Of one name in a directory: what the usual file systems keep."""
NAME_BYTES_MAX = 2048
"""Half of a path's usual limit, so that as much is left for the directory that it is restored to."""


def name_problems(names: Iterable[str]) -> list[str]:
    """What keeps files of these names from being restored together, one sentence each; empty if nothing does.

    >>> name_problems(["a", "a/b"])
    ["attachment 'a/b' needs a directory where attachment 'a' is a file"]
    """
    found = []
    usable = []
    for name in names:
        problem = _problem_alone(name)
        if problem is None:
            usable.append(name)
        else:
            found.append(problem)

    # On a file system that takes two names for one, the second file would overwrite the first.
    files: dict[tuple[str, ...], str] = {}
    for name in usable:
        if (other := files.get(_folded(name))) is not None:
            found.append(_same(other, name))
        files[_folded(name)] = name

    for name in usable:
        parts = _folded(name)
        for length in range(1, len(parts)):
            if (file := files.get(parts[:length])) is not None:
                found.append(f"attachment {name!r} needs a directory where attachment {file!r} is a file")
    return found


def check_names(names: Iterable[str]) -> None:
    """Raises InvalidArgument, which names the attachment, unless all can be restored together."""
    if problems := name_problems(names):
        raise InvalidArgument(problems[0])


def _problem_alone(name: str) -> str | None:
    try:
        encoded = name.encode()
        check_path(name)
    except UnicodeEncodeError:
        return f"attachment {name!r}: its name is not UTF-8; give it another one with Attachment(path, name)"
    except InvalidArgument as error:
        return f"attachment {error}"

    longest = max(name.split("/"), key=lambda part: len(part.encode()))
    if len(longest.encode()) > PART_BYTES_MAX:
        return (
            f"attachment {_short(name)}: {_short(longest)} has {len(longest.encode())} bytes; "
            f"a file's name has at most {PART_BYTES_MAX}"
        )

    if len(encoded) > NAME_BYTES_MAX:
        return (
            f"attachment {_short(name)}: its name has {len(encoded)} bytes; at most {NAME_BYTES_MAX} can be"
        )

    if _folded(name)[0] == _folded(STAGING)[0]:
        return f"attachment {name!r}: names in {STAGING}/ are those of the restore itself"
    return None


def _same(one: str, other: str) -> str:
    if one == other:
        return f"two attachments are named {one!r}"
    return (
        f"attachments {one!r} and {other!r} differ only in case or in how Unicode is written: "
        "some file systems take them for one"
    )


def _folded(name: str) -> tuple[str, ...]:
    """Equal for names that a file system may take for one: Unicode's canonical caseless match (D145)."""
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
    return tuple(folded.split("/"))


def _short(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:60] + "…")
