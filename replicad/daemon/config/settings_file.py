"""What CONFIG REWRITE keeps: `state/settings.toml` in the data directory, a layer of the configuration.

It stands where the node may write, as `postgresql.auto.conf` does, and nobody's comments are in it. It is
replaced as a whole: a crash leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from replicad.daemon.config.files import read_file
from replicad.daemon.config.keys import KeyPath, keys_of
from replicad.daemon.config.messages import dotted, refusal_of_path
from replicad.daemon.config.model import PrimaryConfig, ReplicaConfig
from replicad.daemon.config.origins import Setting
from replicad.daemon.config.setting import is_settable
from replicad.daemon.config.values import write_value
from replicad.env import FileSystem
from replicad.env.atomic import replace_file
from replicad.errors import ConfigError
from replicad.state.node import DIRECTORY

NAME = "settings.toml"
_TITLE = """\
# Written by CONFIG REWRITE: what CONFIG SET changed on this node. It counts over the configuration file and
# conf.d. To go back to what those say, remove a line, or this file, and reload or restart the node.
"""


def settings_file(data: Path) -> Path:
    return data / DIRECTORY / NAME


def read_settings(data: Path) -> list[Setting]:
    """Empty where there is no such file, and for who may not look into the directory: it is the node's own.

    Raises ConfigError for a file that is not TOML, and for keys that CONFIG SET does not take.
    """
    file = settings_file(data)
    try:
        is_there = file.exists()
    except OSError:
        return []
    if is_there and not file.is_file():
        # Reading a FIFO would wait for ever.
        raise ConfigError(f"{file} is not a regular file: remove it")
    settings = read_file(file) if is_there else []

    # What decides where and what a node is, `primary` for instance, is read before this layer: here it would
    # count for some readers and not for others. Keys that do not exist are reported with the others'.
    wrong = [
        f"{each.origin}: {dotted(each.path)} is not set by a command, and only such keys stand in this file: "
        "remove it, or move it to the configuration file"
        for each in settings
        if not is_settable(each.path) and _is_key(each)
    ]
    if wrong:
        raise ConfigError("; ".join(wrong))
    return settings


def _is_key(setting: Setting) -> bool:
    return any(refusal_of_path(setting, keys_of(kind)) is None for kind in (PrimaryConfig, ReplicaConfig))


def data_directory(settings: Iterable[Setting]) -> Path | None:
    """The last one that is named, if it can be one: what is wrong with it is said elsewhere."""
    named = [setting.value for setting in settings if setting.path == ("data",)]
    return Path(named[-1]) if named and isinstance(named[-1], str | Path) and str(named[-1]) else None


def rewrite_settings(fs: FileSystem, data: Path, values: Mapping[KeyPath, Any]) -> Path:
    """Adds these to what the file has. Raises OSError, ConfigError for a file that is not TOML."""
    all_values = {setting.path: setting.value for setting in read_settings(data)} | dict(values)
    lines = [
        f"{dotted(path)} = {write_value(value)}"
        for path, value in sorted(all_values.items())
        if value is not None
    ]
    file = settings_file(data)
    try:
        replace_file(fs, file, (_TITLE + "\n".join([*lines, ""])).encode())
    except OSError:
        with contextlib.suppress(OSError):
            fs.unlink(file.with_name(f"{NAME}.tmp"))
        raise
    return file
