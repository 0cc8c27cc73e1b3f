"""Keys in the environment: REPLICAD_LISTEN, REPLICAD_STORE__MEMTABLE_BYTES.

Two underscores part a table from its key. A value is written as in TOML, but a string needs no quotes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

from replicad.daemon.config.keys import Key, KeyPath, find, without_none
from replicad.daemon.config.origins import FromEnvironment, Setting
from replicad.net.addresses import Address

PREFIX = "REPLICAD_"

NOT_KEYS = frozenset({"REPLICAD_LOAD_BYTES", "REPLICAD_SANITIZE"})
"""Variables of this repository's tests and build."""

_SERVICE = re.compile(
    r"REPLICAD_([A-Z0-9]+_)*(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)
"""What Kubernetes and Docker tell a container about a service whose name begins with replicad."""


def read_environment(environment: Mapping[str, str], keys: tuple[Key, ...]) -> list[Setting]:
    """A variable for which there is no key is a setting, too: it is refused as an unknown key is."""
    return [
        Setting(path, value_of(find(keys, path), text), FromEnvironment(name))
        for name, text in sorted(environment.items())
        if (path := _path(name)) is not None
    ]


def variable_of(path: KeyPath) -> str:
    return PREFIX + "__".join(path).upper()


def _path(name: str) -> KeyPath | None:
    """None for what is not a key. Names of families are taken in lower case."""
    if not name.startswith(PREFIX) or name in NOT_KEYS or _SERVICE.fullmatch(name):
        return None
    return tuple(name.removeprefix(PREFIX).lower().split("__"))


def value_of(key: Key | None, text: str) -> Any:
    """Text that is not TOML stays text, which is then no value for its key."""
    if key is None or _is_text(key.hint):
        return text
    try:
        # More than one value would be other keys, after a line end in the text.
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # of TOML, or a number with too many digits
        return text
    return values["value"] if len(values) == 1 else text


def _is_text(hint: Any) -> bool:
    hint = without_none(hint)
    return hint in (str, Path, Address) or get_origin(hint) is Literal
