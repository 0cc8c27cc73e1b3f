"""What a link carries: all linked families or some of them; all of their keys, or those with some prefixes.

A link that leaves something out ships only what was made at its source: the target counts a batch of another
origin as seen, and would drop the rest of it when it comes by another way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from replicad.store.reading import successor


class KeyBounds(NamedTuple):
    """start <= key < end; an `end` of None is behind the last key."""

    start: bytes
    end: bytes | None


class LinkFilter:
    def __init__(self, families: Collection[str] = (), prefixes: Iterable[bytes] = ()) -> None:
        """Empty: all."""
        self._families = frozenset(families)
        self._prefixes = _without_overlap(prefixes)

    def leaves_out(self, linked: Collection[str]) -> bool:
        """Whether something of these linked families is not carried."""
        return bool(self._prefixes) or bool(self._families and set(linked) - self._families)

    def families(self, linked: Collection[str]) -> list[str]:
        """Those of the linked ones that are carried, in the order of a seed."""
        return sorted(self._families.intersection(linked) if self._families else linked)

    def carries(self, family: str, key: bytes) -> bool:
        """`family` is linked."""
        of_family = not self._families or family in self._families
        return of_family and (not self._prefixes or key.startswith(self._prefixes))

    def key_ranges(self, after: bytes | None) -> Iterator[KeyBounds]:
        """The keys that are carried, behind one of them, in order."""
        first = b"" if after is None else after + b"\0"
        for prefix in self._prefixes or (b"",):
            end = successor(prefix)
            if end is None or first < end:
                yield KeyBounds(max(first, prefix), end)


def _without_overlap(prefixes: Iterable[bytes]) -> tuple[bytes, ...]:
    """In order, and none that begins as another one does.

    >>> _without_overlap([b"eu:", b"b", b"eu:fr:", b"b"])
    (b'b', b'eu:')
    """
    kept: list[bytes] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)
