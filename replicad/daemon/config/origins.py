"""Where a value comes from, as messages and `replicad config show --origin` name it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicad.daemon.config.keys import KeyPath


@dataclass(frozen=True)
class FromFile:
    """`line` counts from 1; None where the value is not written as a line `key = value`."""

    file: Path
    line: int | None

    def __str__(self) -> str:
        return str(self.file) if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class FromEnvironment:
    variable: str

    def __str__(self) -> str:
        return self.variable


@dataclass(frozen=True)
class FromFlag:
    flag: str

    def __str__(self) -> str:
        return self.flag


Origin = FromFile | FromEnvironment | FromFlag


@dataclass(frozen=True)
class Setting:
    """One value that somebody wrote."""

    path: KeyPath
    value: Any
    origin: Origin


def flatten(table: dict[str, Any], prefix: KeyPath = ()) -> list[tuple[KeyPath, Any]]:
    """The values of nested tables by their paths. An empty table stays: `[store.families]` says that there
    are none."""
    found: list[tuple[KeyPath, Any]] = []
    for name, value in table.items():
        path = (*prefix, name)
        if isinstance(value, dict) and value:
            found += flatten(value, path)
        else:
            found.append((path, value))
    return found


def nest(settings: dict[KeyPath, Setting]) -> dict[str, Any]:
    """The nested tables that these settings make."""
    root: dict[str, Any] = {}
    for path, setting in settings.items():
        table = root
        for name in path[:-1]:
            table = table.setdefault(name, {})
        if setting.value == {}:
            table.setdefault(path[-1], {})
        else:
            table[path[-1]] = setting.value
    return root
