"""What a key takes, in words, and whether a value is that; how values are written."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from replicad.daemon.config.keys import Key, without_none
from replicad.errors import ConfigError, InvalidArgument
from replicad.net.addresses import Address, parse_address
from replicad.options import NUMBER_MAX, check_number

_UNITS = {"bytes_per_second": " of bytes a second", "bytes": " of bytes", "seconds": " of seconds"}
_GROUPED_FROM = 10_000


def takes(key: Key) -> str:
    """Type, unit, range or choices of a key, in words."""
    hint = without_none(key.hint)
    if get_origin(hint) is tuple:
        return f"a list of {_choices(get_args(hint)[0]) or 'strings'}"
    if choices := _choices(hint):
        return choices
    if hint in (int, float):
        kind = "a whole number" if hint is int else "a number"
        return f"{kind}{unit_of(key.path[-1])}, {range_of(key)}"
    if hint is Address:
        return "HOST:PORT, [IPV6]:PORT or :PORT"
    return {bool: "true or false", str: "a string", Path: "a path"}.get(hint, "another value")


def _choices(hint: Any) -> str:
    """The values of a type that has few of them, in words; "" for any other."""
    *others, last = ["", *map(write_value, _values(hint))]
    return f"{', '.join(others[1:])} or {last}" if others[1:] else last


def _values(hint: Any) -> tuple[str, ...]:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return tuple(one.value for one in hint)
    return get_args(hint) if get_origin(hint) is Literal else ()


def unit_of(name: str) -> str:
    """The unit that the name of a number ends with; `_max` and `_min` aside."""
    name = name.removesuffix("_max").removesuffix("_min")
    return next((unit for word, unit in _UNITS.items() if name == word or name.endswith(f"_{word}")), "")


def range_of(key: Key) -> str:
    return "above 0" if key.least is None else f"at least {write_value(key.least)}"


def what_is_wrong(key: Key, value: Any) -> str | None:
    """With a value for a key, in words; None for one that the key takes."""
    hint = without_none(key.hint)
    if hint is Address:
        try:
            parse_address(str(value))
        except ConfigError as error:
            return str(error)
        return None
    if hint in (int, float) and isinstance(value, int | float) and value > NUMBER_MAX:
        return f"it takes at most {write_value(NUMBER_MAX)}"
    return None if _fits(key, hint, value) else f"it takes {takes(key)}"


def _fits(key: Key, hint: Any, value: Any) -> bool:
    if hint in (int, float):
        try:
            check_number(key.path[-1], value, least=key.least, whole=hint is int)
        except InvalidArgument:
            return False
        return True
    if get_origin(hint) is tuple:
        return isinstance(value, list | tuple) and all(_fits(key, get_args(hint)[0], one) for one in value)
    if values := _values(hint):
        return value in values
    if hint in (bool, str):
        return isinstance(value, hint)
    return isinstance(value, str | Path) if hint is Path else True


def write_value(value: Any) -> str:
    """As TOML. Long numbers are grouped; what TOML has no form for is a string."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value:_}" if abs(value) >= _GROUPED_FROM else str(value)
        case float():
            return f"{value:_}" if abs(value) >= _GROUPED_FROM and value.is_integer() else repr(value)
        case Enum():
            return write_value(value.value)
        case Address():
            return write_value(str(value))
        case list() | tuple():
            return f"[{', '.join(map(write_value, value))}]"
        case dict():
            return (
                f"{{{', '.join(f'{write_name(name)} = {write_value(one)}' for name, one in value.items())}}}"
            )
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def write_name(name: str) -> str:
    """A part of a key, in quotes where it needs them."""
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else write_value(name)
