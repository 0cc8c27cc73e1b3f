"""Walking over keys: on a snapshot in a thread, or within EXEC, at once, over what EXEC sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from typing import TYPE_CHECKING, Protocol, TypeVar

from replicad.server.interfaces import Name, Pair, Walkable

if TYPE_CHECKING:
    from replicad.server.connection import Connection

Result = TypeVar("Result")


class Keys(Protocol):
    """A state whose pairs can be walked over, in key order."""

    @property
    def sequence(self) -> int: ...
    def contains(self, key: bytes, /, *, family: int = 0) -> bool: ...
    def scan(
        self,
        start: bytes | None = None,
        end: bytes | None = None,
        *,
        prefix: bytes | None = None,
        family: int = 0,
    ) -> Iterator[Pair]: ...


def walk(
    client: Connection, work: Callable[[Keys], Result], encode: Callable[[Result], bytes]
) -> bytes | None:
    """The reply to a command that walks: None when it comes later."""
    transaction = client.transaction
    if transaction is not None:
        changes = {**client.server.group.overlay, **transaction.overlay}
        if client.server.group.overlay:
            transaction.saw_group = True
        return encode(work(_Changed(transaction.reader, changes, client.server.store.appended_sequence)))
    client.server.run_on_snapshot(client, work, encode)
    return None


class _Changed:
    """A state with changes that are not in the store yet."""

    def __init__(self, reader: Walkable, changes: dict[Name, bytes | None], sequence: int) -> None:
        self.sequence = sequence
        self._reader = reader
        self._changes = changes

    def contains(self, key: bytes, /, *, family: int = 0) -> bool:
        changes = dict(self._of(family))
        return changes[key] is not None if key in changes else self._reader.contains(key, family=family)

    def scan(
        self,
        start: bytes | None = None,
        end: bytes | None = None,
        *,
        prefix: bytes | None = None,
        family: int = 0,
    ) -> Iterator[Pair]:
        changes = dict(self._of(family))

        def within(key: bytes) -> bool:
            after, before = start is None or key >= start, end is None or key < end
            return after and before and (prefix is None or key.startswith(prefix))

        added = sorted((key, value) for key, value in changes.items() if value is not None and within(key))
        stored = self._reader.scan(start, end, prefix=prefix, family=family)
        return merge((pair for pair in stored if pair[0] not in changes), added)

    def _of(self, family: int) -> Iterator[tuple[bytes, bytes | None]]:
        for name, value in self._changes.items():
            of, key = (0, name) if isinstance(name, bytes) else name
            if of == family:
                yield key, value
