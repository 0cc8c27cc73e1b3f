"""The layers of a configuration. Each one wins over those before it:

the file  <  conf.d/*.toml beside it, by name  <  the environment  <  flags
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replicad.daemon.config.files import read_files
from replicad.daemon.config.keys import keys_of
from replicad.daemon.config.model import NodeConfig, PrimaryConfig, ReplicaConfig
from replicad.daemon.config.origins import FromFlag, Setting, flatten
from replicad.daemon.config.variables import read_environment

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
        return [
            *([] if self.file is None else read_files(self.file)),
            *read_environment(self.environment, keys_of(kind)),
            *self._flags(),
        ]

    def kind(self) -> type[PrimaryConfig] | type[ReplicaConfig]:
        """Of the node that this configures: one with a primary is a replica. Raises as `read`."""
        has_primary = any(setting.path == ("primary",) for setting in self.read(ReplicaConfig))
        return ReplicaConfig if has_primary else PrimaryConfig

    def __str__(self) -> str:
        return "the command line" if self.file is None else str(self.file)

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
