"""Keys by their sections, in the order in which a file has them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from replicad.daemon.config.keys import Key, KeyPath, keys_of
from replicad.daemon.config.model import NodeConfig


def sections_of(kind: type[NodeConfig]) -> Iterator[tuple[KeyPath, list[Key]]]:
    """The path of each table and its keys; () for the keys before the first section. Tables of any name come
    last, so that each section is there once."""
    keys = sorted(keys_of(kind), key=lambda key: _order(kind, key))
    for table, found in groupby(keys, lambda key: key.path[:-1]):
        yield table, list(found)


def _order(kind: type[NodeConfig], key: Key) -> tuple[int, int]:
    section = list(kind.model_fields).index(key.path[0]) if len(key.path) > 1 else -1
    return section, len(key.path)
