"""A configuration as TOML: every value that counts, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from replicad.daemon.config.keys import NAME, Key, KeyPath
from replicad.daemon.config.load import Loaded
from replicad.daemon.config.messages import dotted
from replicad.daemon.config.model import NodeConfig
from replicad.daemon.config.origins import Setting
from replicad.daemon.config.sections import sections_of
from replicad.daemon.config.values import write_name, write_value


def show(loaded: Loaded[NodeConfig], *, origin: bool) -> str:
    """TOML that can be read back. A key that is not set is a comment."""
    kind = type(loaded.config)
    lines: list[str] = []
    for table, keys in sections_of(kind):
        for path, values in tables_at(loaded.config, table):
            lines += ["", f"[{dotted(path)}]"] if path else []
            lines += [_line(key, (*path, key.path[-1]), values, loaded.settings, origin) for key in keys]
    return "\n".join(lines) + "\n"


def tables_at(config: Any, path: KeyPath, above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """The tables at a path with what holds their values; one for each name where the path has NAME."""
    if not path:
        yield above, config
    elif path[0] == NAME:
        for name, one in config.items() if isinstance(config, Mapping) else ():
            yield from tables_at(one, path[1:], (*above, name))
    else:
        yield from tables_at(getattr(config, path[0]), path[1:], (*above, path[0]))


def _line(
    key: Key, path: KeyPath, values: Any, settings: Mapping[KeyPath, Setting], with_origin: bool
) -> str:
    value = getattr(values, key.path[-1])
    name = write_name(path[-1])
    text = f"# {name} is not set" if value is None else f"{name} = {write_value(value)}"
    if not with_origin or value is None:
        return text
    return f"{text}  # {settings[path].origin if path in settings else 'default'}"
