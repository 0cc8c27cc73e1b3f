"""Things that are held for as long as somebody keeps the object that stands for it.

An exception from outside can come between taking a hold and keeping it, or between letting go of it and
forgetting it. Held is therefore what an object stands for that somebody still has: nobody needs to remember
to let go, and dropping the last reference is one step.
"""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

T = TypeVar("T")


class Holds(Generic[T]):
    """The objects that were added, and neither discarded nor dropped by all who had them. Any thread, no
    lock."""

    def __init__(self) -> None:
        self._references: set[weakref.ref[T]] = set()

    def add(self, item: T) -> None:
        self._references.add(weakref.ref(item, self._references.discard))

    def discard(self, item: T) -> None:
        """Does nothing for what is not held."""
        self._references.discard(weakref.ref(item))

    def __contains__(self, item: T) -> bool:
        return weakref.ref(item) in self._references

    def items(self) -> list[T]:
        """Those of one moment, in no order."""
        found = (reference() for reference in tuple(self._references))
        return [item for item in found if item is not None]
