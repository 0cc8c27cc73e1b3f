"""What the name of a target means: a directory, or a place that fsspec knows. Pure.

/srv/backups, backups            a directory
file:///srv/backups              the same directory, with all that holds for it
s3://bucket/prefix               what fsspec opens
memory://name                    this process, and gone with it
"""

from __future__ import annotations

import re
from pathlib import Path

from replicad.errors import ConfigError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ALMOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
LOCAL_SCHEMES = frozenset({"file", "local"})
MEMORY_SCHEME = "memory"


def parse_target(where: str) -> Path | str:
    """A directory, or a URL for fsspec. Raises ConfigError for what is neither.

    >>> parse_target("file:///srv/backups")
    PosixPath('/srv/backups')
    """
    if not where.strip():
        raise ConfigError("the target has no name: it is a directory, or a URL such as s3://bucket/prefix")
    if "\0" in where:
        raise ConfigError(f"{where!r} is not the name of a target")

    # fsspec takes `a::b` for a chain of file systems.
    if "::" in where and _ALMOST.match(where):
        raise ConfigError(f"{where}: a target is one place, not a chain of them")

    match = _URL.fullmatch(where)
    if match is None:
        if _ALMOST.match(where):
            raise ConfigError(
                f"{where!r} is neither a path nor a URL: write scheme://place, or ./{where} for a directory"
            )
        return Path(where)

    scheme, place = match[1].lower(), match[2]
    if scheme in LOCAL_SCHEMES:
        return _local(where, place)

    parts = place.rstrip("/").split("/")
    if not parts[0]:
        raise ConfigError(f"{where}: the URL names no place; write {scheme}://NAME or {scheme}://NAME/PREFIX")
    if any(part in ("", ".", "..") for part in parts):
        raise ConfigError(f"{where}: a URL of a target has no empty, '.' or '..' parts")
    return f"{scheme}://{'/'.join(parts)}"


def _local(where: str, place: str) -> Path:
    path = place.removeprefix("localhost")
    if not path.startswith("/"):
        raise ConfigError(f"{where}: the path is relative; write file:///DIRECTORY, or the path itself")
    if re.search("[%?#]", path):
        raise ConfigError(f"{where}: write the path itself instead of a URL, because it has %, ? or # in it")
    return Path("/" + path.lstrip("/"))


def check_for_node(where: str) -> None:
    """Raises ConfigError for what a daemon cannot back up to: a relative path, or its own memory."""
    address = parse_target(where)
    if isinstance(address, Path):
        if not address.is_absolute():
            raise ConfigError(f"{where!r} is a relative path; write an absolute one, or a URL")
    else:
        check_outlives(where)


def check_outlives(where: str) -> None:
    """Raises ConfigError for a target that ends with this process."""
    address = parse_target(where)
    if isinstance(address, str) and address.startswith(f"{MEMORY_SCHEME}://"):
        raise ConfigError(f"{where}: what is kept in memory ends with the process; name another target")
