"""What the configuration file says, and then each file of the directory `conf.d` beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from replicad.daemon.config.lines import line_of, lines_of
from replicad.daemon.config.origins import FromFile, Setting, flatten
from replicad.errors import ConfigError

DIRECTORY = "conf.d"


def read_files(file: Path) -> list[Setting]:
    """In the order in which they count: a later one wins. Raises ConfigError for what is not TOML."""
    return [setting for one in (file, *fragments(file)) for setting in read_file(one)]


def fragments(file: Path) -> list[Path]:
    """`conf.d/*.toml` beside the file, by name. Hidden files are those of editors."""
    directory = file.parent / DIRECTORY
    try:
        names = sorted(one.name for one in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(f"{directory}: {error.strerror}") from None
    return [directory / name for name in names if name.endswith(".toml") and not name.startswith(".")]


def read_file(file: Path) -> list[Setting]:
    """Raises ConfigError for what cannot be read, or is not TOML."""
    try:
        text = file.read_text(encoding="utf-8")
        found = flatten(tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{file}: arrays or tables are nested too deeply") from None
    lines = lines_of(text)
    return [Setting(path, value, FromFile(file, line_of(lines, path))) for path, value in found]
