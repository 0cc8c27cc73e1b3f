"""Conditions of a batch: what must still hold, under the write lock, for it to be written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replicad.errors import ConditionFailed, InvalidArgument
from replicad.store.core import Core
from replicad.store.reading import view_at
from replicad.types import DEFAULT_FAMILY


@dataclass(frozen=True, slots=True)
class AtSequence:
    """Expects the version of a key that was written at this sequence number (see `Database.sequence_of`).

    Unlike an expected value it also notices a key that was changed and changed back.
    """

    sequence: int


Expected = bytes | AtSequence | None
"""A value, a version, or None: the key must be absent."""
Condition = tuple[bytes, Expected] | tuple[bytes, Expected, int]
"""(key, expected) or, outside the default family, (key, expected, family)."""


def check_conditions(core: Core, conditions: Iterable[Condition], newest: int) -> None:
    """Raises ConditionFailed for the first that does not hold of what is appended, through `newest`."""
    for condition in conditions:
        key, expected = condition[:2]
        view = view_at(core, condition[2] if len(condition) > 2 else DEFAULT_FAMILY, newest)
        got: Expected
        if isinstance(expected, AtSequence):
            sequence = view.sequence_of(key, newest)
            got = AtSequence(sequence) if sequence else None
        elif expected is None or isinstance(expected, bytes):
            got = view.get(key, newest)
        else:
            raise InvalidArgument(f"a condition expects bytes, AtSequence or None, not {expected!r}")
        if got != expected:
            raise ConditionFailed(key, expected=expected, got=got, sequence=newest)
