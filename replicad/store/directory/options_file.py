"""OPTIONS-n.toml: the options that a database was opened with last, kept with its data.

    # comment
    # format 1, replicad 0.1.0+manifest1.table1.log1
                                        the release that wrote it; a file without this line has format 1
    name = value        for each field of Options that is not None, in their order; `families` is a table
                        of tables, by name
    name = value        keys that this version does not know, as they were found
    # crc32c 89abcdef   of everything before it; a file without this line is read as it is

A file is never changed: when the options differ a new one with a higher number is written, and the old ones
go. Another release writes it anew. The highest number counts. Copies carry one without `wal_dir`: that is the
original's log.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from replicad import kernels
from replicad.env import Env, FileSystem
from replicad.env.atomic import replace_file
from replicad.errors import (
    ConfigError,
    CorruptionError,
    InvalidArgument,
    NewerFormatError,
    NotFoundError,
)
from replicad.options import FamilyOptions, Options
from replicad.version import VERSION as PROGRAM

VERSION = 1
"""On disk. A key that a reader may leave alone needs no new one."""
RELEASE = f"{PROGRAM}+manifest1.table1.log1"
"""Of the program, with the versions of the formats that it writes: two builds of one version may differ in
these."""

_NAME = re.compile(r"OPTIONS-(\d{6,})\.toml")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_CHECKSUM = re.compile(rb"# crc32c ([0-9a-f]{8})\n\Z")
_HEADER = "# The options of this database on this node, as it was opened last. Written by replicad.\n"
_WRITTEN_BY = re.compile(rb"^# format (\d{1,9}), replicad ([0-9A-Za-z.+-]{1,64})$", re.MULTILINE)


def load_latest_options(path: str | Path) -> tuple[Options, dict[str, Any]]:
    """The options that the database, or copy, in `path` was opened with last, and the keys not known here.

    Raises NotFoundError when there is no such file, ConfigError, CorruptionError or NewerFormatError for one
    that cannot be read.

    >>> options, unknown = replicad.load_latest_options("/var/lib/example")     # doctest: +SKIP
    >>> db = replicad.open("/var/lib/example", options)                         # doctest: +SKIP
    """
    fs = Env.local().fs
    names = option_files(fs, Path(path))
    if not names:
        raise NotFoundError(f"{path} holds no OPTIONS file")
    return read_options(fs, Path(path) / names[-1])


def option_files(fs: FileSystem, directory: Path) -> list[str]:
    """Names, the one that counts last."""
    return sorted((name for name in fs.list(directory) if _NAME.fullmatch(name)), key=_number)


def read_options(fs: FileSystem, path: Path) -> tuple[Options, dict[str, Any]]:
    """(options, unknown keys); raises ConfigError, CorruptionError, NewerFormatError, which name the file."""
    return _decode(path, fs.read_file(path))


def release_that_opened(fs: FileSystem, directory: Path) -> str | None:
    """The release of replicad that opened the directory for writing last; None where nothing says so."""
    try:
        return _written_by(fs.read_file(directory / option_files(fs, directory)[-1]))[1]
    except (OSError, IndexError):
        return None


def _written_by(data: bytes) -> tuple[int, str | None]:
    """(version of the format, release); a file of a release before this line has the first version."""
    line = _WRITTEN_BY.search(data)
    return (1, None) if line is None else (int(line[1]), line[2].decode())


def _decode(path: Path, data: bytes) -> tuple[Options, dict[str, Any]]:
    _check(path, data)
    version, _ = _written_by(data)
    if version > VERSION:
        raise NewerFormatError(f"{path}: {NewerFormatError.of('options file', version, VERSION)}")
    try:
        found = tomllib.loads(data.decode())
        known, unknown = _split(found, Options)

        # Keys of a newer version are kept, to be written again as they were found.
        if "families" in known:
            parts = {name: _split(one, FamilyOptions) for name, one in known["families"].items()}
            known["families"] = {name: part[0] for name, part in parts.items()}
            if later := {name: part[1] for name, part in parts.items() if part[1]}:
                unknown["families"] = later

        return Options(**known), unknown
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InvalidArgument, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError:  # tomllib calls itself for each bracket.
        raise ConfigError(f"{path}: arrays or tables are nested too deeply") from None


def _split(values: dict[str, Any], kind: type[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what the class has a field for, the rest)."""
    names = {field.name for field in fields(kind)}
    known = {key: value for key, value in values.items() if key in names}
    return known, {key: value for key, value in values.items() if key not in names}


def _check(path: Path, data: bytes) -> None:
    """A digit that rots would be another option otherwise."""
    line = _CHECKSUM.search(data)
    if line is not None and (got := kernels.crc32c(data[: line.start()])) != int(line[1], 16):
        reason = "options checksum: damaged, or edited (without its last line it is read as it is)"
        raise CorruptionError(reason, path=path, offset=0, expected=line[1].decode(), got=f"{got:08x}")


def encode_options(options: Options, unknown: dict[str, Any]) -> bytes:
    """
    >>> print(encode_options(Options(), {"later": [1, "two"]}).decode().splitlines()[-2])
    later = [1, "two"]
    """
    values = {field.name: getattr(options, field.name) for field in fields(options)} | unknown
    if options.families is not None:
        values["families"] = _plain_families(options.families, unknown.get("families", {}))
    lines = [f"{_key(name)} = {_value(value)}\n" for name, value in values.items() if value is not None]
    header = f"{_HEADER}# format {VERSION}, replicad {RELEASE}\n"
    content = (header + "".join(lines)).encode()
    return content + b"# crc32c %08x\n" % kernels.crc32c(content)


def _plain_families(
    families: Mapping[str, FamilyOptions], unknown: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    known = {
        name: {key: value for key, value in asdict(one).items() if value is not None}
        for name, one in families.items()
    }
    return {name: known.get(name, {}) | unknown.get(name, {}) for name in known.keys() | unknown.keys()}


def recorded_families(fs: FileSystem, directory: Path) -> Mapping[str, FamilyOptions]:
    """The options of column families that the directory was opened with last; none when it does not tell."""
    names = option_files(fs, directory)
    try:
        return (read_options(fs, directory / names[-1])[0].families or {}) if names else {}
    except (ConfigError, CorruptionError, FileNotFoundError):
        return {}  # `keep_options` says so.


def keep_options(
    fs: FileSystem,
    directory: Path,
    options: Options,
    notes: list[str],
    remove: Callable[[Iterable[Path]], None],
) -> dict[str, Any]:
    """Writes a new file when the newest one says something else; returns the keys that are not known here.

    `notes` learns of those, and of a file that could not be read; `remove` does away with the old files.
    """
    names = option_files(fs, directory)
    unknown: dict[str, Any] = {}
    if names:
        newest = directory / names[-1]
        try:
            data = fs.read_file(newest)
            known, unknown = _decode(newest, data)
        except (ConfigError, CorruptionError) as error:
            # The options given count, so a damaged file does not keep the database from opening.
            notes.append(f"{error}; it is replaced")
        else:
            if unknown:
                notes.append(f"{newest}: keys that this version does not know: {', '.join(sorted(unknown))}")
            if known == options and _written_by(data)[1] == RELEASE:
                return unknown

    # The new file comes before the removal of the old ones: a crash leaves both, and the highest number
    # counts.
    number = _number(names[-1]) + 1 if names else 1
    write_options(fs, directory, number, encode_options(options, unknown))
    remove([directory / name for name in names])
    return unknown


def options_for_copy(options: Options, unknown: dict[str, Any]) -> bytes:
    """The content of a copy's file."""
    return encode_options(replace(options, wal_dir=None), unknown)


def write_options(fs: FileSystem, directory: Path, number: int, data: bytes) -> None:
    replace_file(fs, directory / f"OPTIONS-{number:06d}.toml", data)


def _number(name: str) -> int:
    match = _NAME.fullmatch(name)
    assert match is not None
    return int(match[1])


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    """TOML knows no surrogates, so what is beyond ASCII is written as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    """TOML for whatever `tomllib` may have read; tables become inline ones."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _quoted(str(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + " }"
    return str(value.isoformat())
