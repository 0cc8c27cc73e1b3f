"""What the code says of each option: the docstring below its field.

Examples and docs/configuration.md have no other text, so that they cannot go stale.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from typing import Any, get_type_hints

from replicad.daemon.config.keys import NAME, Key, KeyPath, table_of
from replicad.daemon.config.model import NodeConfig


def help_of(key: Key) -> str:
    """All of it, in one line."""
    return help_of_field(key.owner, key.path[-1])


def help_of_table(kind: type[NodeConfig], path: KeyPath) -> str:
    """Of the field that is this table, or that has one for each NAME."""
    owner: type[Any] | None = kind
    text = ""
    for name in path:
        if name != NAME:
            assert owner is not None
            text = help_of_field(owner, name)
            owner = table_of(get_type_hints(owner)[name])[0]
    return text


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence.

    >>> first_sentence("Of level 0.5 tables. More.")
    'Of level 0.5 tables.'
    """
    head, stop, _ = text.partition(". ")
    return head + stop.rstrip()


def help_of_field(owner: type[Any], name: str) -> str:
    """Of a field of a class, or of one that it inherits from."""
    return next((docs[name] for each in owner.__mro__ if name in (docs := _docs_of(each))), "")


@cache
def _docs_of(owner: type[Any]) -> dict[str, str]:
    if not owner.__module__.startswith("replicad."):
        return {}
    module = inspect.getmodule(owner)
    assert module is not None
    tree = ast.parse(inspect.getsource(module))
    body = next(
        each.body for each in tree.body if isinstance(each, ast.ClassDef) and each.name == owner.__name__
    )
    found = {}
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found
