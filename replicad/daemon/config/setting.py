"""One value of a running node, set by a command: CONFIG SET. A pure function of the configuration.

What names files, directories or other machines is not set this way: who may send commands to a node does not
choose what it reads and writes on its machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import TypeAdapter

from replicad.daemon.config.keys import KeyPath, find, keys_of
from replicad.daemon.config.model import NodeConfig
from replicad.daemon.config.run_time import AT_RUN_TIME, changes_at_run_time
from replicad.daemon.config.values import what_is_wrong, write_value
from replicad.daemon.config.variables import value_of
from replicad.errors import ConfigError, InvalidArgument

Config = TypeVar("Config", bound=NodeConfig)

SHOWN_MAX = 80
"""Characters of what was given."""
NOT_BY_COMMAND = frozenset({("backup", "target"), ("backup", "catch_up_from")})
_SECTIONS = frozenset(AT_RUN_TIME) - {"", "tls"}


def values_of(texts: Mapping[str, str], kind: type[NodeConfig]) -> dict[KeyPath, Any]:
    """What `section.key` is to be, by path; a value is written as in the environment, and an empty one takes
    back a key that need not be set. Raises ConfigError."""
    return {path: value for name, text in texts.items() for path, value in [_value(name, text, kind)]}


def with_values(config: Config, values: Mapping[KeyPath, Any]) -> Config:
    """The configuration with these, checked as when it is read from a file. Raises ConfigError."""
    changed: dict[str, Any] = {}
    for (section, name), value in values.items():
        options = changed.get(section, getattr(config, section))
        try:
            changed[section] = replace(options, **{name: value})
        except InvalidArgument as error:
            raise ConfigError(f"{section}.{error}") from None
        except ConfigError as error:
            raise ConfigError(f"{section}: {error}") from None
    return config.model_copy(update=changed)


def shown_values(config: NodeConfig) -> dict[str, str]:
    """Every key in effect, as CONFIG GET shows it; "" for one that is not set. Users and certificates are not
    shown."""
    shown = {}
    for key in keys_of(type(config)):
        if key.is_named or key.path[0] in ("users", "tls"):
            continue
        value: Any = config
        for name in key.path:
            value = getattr(value, name)
        shown[key.dotted] = "" if value is None else _plain(value)
    return shown


def _value(name: str, text: str, kind: type[NodeConfig]) -> tuple[KeyPath, Any]:
    keys = keys_of(kind)
    key = find(keys, tuple(name.split(".")))
    if key is None:
        alike = get_close_matches(name, [each.dotted for each in keys if is_settable(each.path)], 1)
        shown = name if len(name) <= SHOWN_MAX else f"{name[:SHOWN_MAX]}…"
        raise ConfigError(f"{shown} is not a key" + (f": did you mean {alike[0]}?" if alike else ""))
    if not is_settable(key.path):
        at_run_time = key.path[0] in ("users", "tls") or key.path in NOT_BY_COMMAND
        how = "and reload the node" if at_run_time else "and restart the node"
        raise ConfigError(f"{name} is not set by a command: change the configuration file {how}")
    if not text and key.default is None:
        return key.path, None
    value = value_of(key, text)
    if reason := what_is_wrong(key, value):
        raise ConfigError(f"{name} = {text[:SHOWN_MAX]}: {reason}")
    return key.path, TypeAdapter(key.hint).validate_python(value)


def is_settable(path: KeyPath) -> bool:
    """Whether CONFIG SET takes this key."""
    return (
        len(path) == 2
        and path[0] in _SECTIONS
        and path not in NOT_BY_COMMAND
        and changes_at_run_time(path[0], path[1])
    )


def _plain(value: Any) -> str:
    """As TOML, but for programs that read numbers: no quotes around a string, no marks between digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = write_value(value)
        return text[1:-1] if text.startswith('"') else text
    return str(value)
