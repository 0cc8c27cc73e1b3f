"""The keys of a configuration, found in the model: nothing else lists them."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from replicad.daemon.config.model import FLAGS_ONLY, NodeConfig

NAME = "NAME"
"""In the path of a key: any name, such as that of a column family."""

NOT_FROM_FILES = frozenset({("store", "create_if_missing")})
"""Options that a program has and a node decides by itself."""

KeyPath = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key. `default` is MISSING for one that is required, `least` None for a number above 0."""

    path: KeyPath
    hint: Any
    default: Any
    owner: type[Any]
    least: float | None

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    @property
    def is_named(self) -> bool:
        """Whether a table of any name has it."""
        return NAME in self.path

    def covers(self, path: KeyPath) -> bool:
        """Whether that is this key: the same, but for names."""
        return len(path) == len(self.path) and all(
            mine in (NAME, given) for mine, given in zip(self.path, path, strict=True)
        )


def without_none(hint: Any) -> Any:
    """The plain type of a value that is there."""
    if get_origin(hint) in (Union, types.UnionType):
        left = [one for one in get_args(hint) if one is not types.NoneType]
        hint = left[0] if len(left) == 1 else hint
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


@cache
def keys_of(kind: type[NodeConfig]) -> tuple[Key, ...]:
    """Of a primary's or a replica's configuration, in the order of the model: first those before the first
    section."""
    found = [
        key
        for name, field in kind.model_fields.items()
        if name not in FLAGS_ONLY
        for key in _walk(
            (name,), field.annotation, MISSING if field.is_required() else field.default, kind, None
        )
    ]
    return tuple(sorted(found, key=lambda key: len(key.path) > 1))


def _walk(path: KeyPath, hint: Any, default: Any, owner: type[Any], least: float | None) -> Iterator[Key]:
    """A table's keys; a key itself. Tables of any name come after the keys beside them."""
    table, is_named = table_of(hint)
    if table is None:
        yield Key(path=path, hint=hint, default=default, owner=owner, least=least)
        return
    path = (*path, NAME) if is_named else path
    hints, least_of = get_type_hints(table), getattr(table, "LEAST", {})
    for one in fields(table):
        inner = (*path, one.name)
        if inner not in NOT_FROM_FILES:
            yield from _walk(inner, hints[one.name], one.default, table, least_of.get(one.name))


def table_of(hint: Any) -> tuple[type[Any] | None, bool]:
    """The class of options of a table, and whether there is one for each name; None for a key."""
    hint = without_none(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return hint, False
    if get_origin(hint) is Mapping and is_dataclass(get_args(hint)[1]):
        return get_args(hint)[1], True
    return None, False


def find(keys: tuple[Key, ...], path: KeyPath) -> Key | None:
    """The key at that path; names are matched by NAME."""
    return next((key for key in keys if key.covers(path)), None)


def is_table(keys: tuple[Key, ...], path: KeyPath) -> bool:
    """Whether keys lie below that path."""
    return any(
        len(key.path) > len(path)
        and all(mine in (NAME, given) for mine, given in zip(key.path, path, strict=False))
        for key in keys
    )
