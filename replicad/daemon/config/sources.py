"""The layers of a configuration. Each one wins over those before it:

the file  <  conf.d/*.toml beside it, by name  <  what CONFIG REWRITE kept  <  the environment  <  flags
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replicad.daemon.config.files import read_files
from replicad.daemon.config.keys import KeyPath, keys_of
from replicad.daemon.config.messages import dotted
from replicad.daemon.config.model import NodeConfig, PrimaryConfig, ReplicaConfig
from replicad.daemon.config.origins import FromFlag, Setting, flatten
from replicad.daemon.config.settings_file import data_directory, read_settings, rewrite_settings
from replicad.daemon.config.variables import read_environment
from replicad.env import FileSystem
from replicad.errors import ConfigError

_FLAGS = {"log__format": "--log", "take_role_now": "--take-role"}
"""Those that are not called as the last word of their key."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a configuration is read, now or again. A flag `a__b` is key `b` of table `a`; None: not given."""

    file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)

    def read(self, kind: type[NodeConfig]) -> list[Setting]:
        """Every value, in the order in which they count. Raises ConfigError for a file that is not TOML."""
        files = [] if self.file is None else read_files(self.file)
        start = self._of_the_start(kind)
        # The layer between them stands in the data directory, which any of the others may name.
        data = data_directory([*files, *start])
        return [*files, *([] if data is None else read_settings(data)), *start]

    def rewrite(self, fs: FileSystem, config: NodeConfig, values: Mapping[KeyPath, Any]) -> Path:
        """Has the next readings find these values. Raises ConfigError where they would not count, OSError."""
        for setting in self._of_the_start(type(config)):
            if setting.path in values:
                raise ConfigError(
                    f"{dotted(setting.path)} comes from {setting.origin} at each start, which counts more: "
                    "change it there"
                )
        return rewrite_settings(fs, config.data, values)

    def kind(self) -> type[PrimaryConfig] | type[ReplicaConfig]:
        """Of the node that this configures: one with a primary is a replica. Raises as `read`."""
        has_primary = any(setting.path == ("primary",) for setting in self.read(ReplicaConfig))
        return ReplicaConfig if has_primary else PrimaryConfig

    def __str__(self) -> str:
        return "the command line" if self.file is None else str(self.file)

    def _of_the_start(self, kind: type[NodeConfig]) -> list[Setting]:
        return [*read_environment(self.environment, keys_of(kind)), *self._flags()]

    def _flags(self) -> list[Setting]:
        return [
            Setting(path, one, FromFlag(_flag(name)))
            for name, value in self.flags.items()
            if value is not None
            for *above, last in [name.split("__")]
            for path, one in flatten({last: value}, tuple(above))
        ]


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + name.rpartition("__")[2].replace("_", "-"))
