"""Work on many keys, in a thread: on a snapshot, or within EXEC over what EXEC sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from typing import TypeVar

from replicad.server.client_state import ClientState
from replicad.server.interfaces import Name, Pair, Walkable
from replicad.server.later import InPieces, OnSnapshot, Reply, Work

Result = TypeVar("Result")


def walk(client: ClientState, work: Callable[[Walkable], Result], encode: Callable[[Result], bytes]) -> Reply:
    """The work of a command that walks over the data: in a thread, also within EXEC. `encode` is called on
    the loop."""
    transaction = client.transaction
    if transaction is None:
        return OnSnapshot(work, encode)
    changes = client.server.group.changes()
    if changes:
        transaction.saw_group = True
    changes |= transaction.overlay
    return InPieces(_within_exec(client, lambda: work(_Changed(transaction.reader, changes)), encode))


def _within_exec(client: ClientState, work: Callable[[], Result], encode: Callable[[Result], bytes]) -> Work:
    """What EXEC sees stands still until it ends, so a thread can look at it."""
    done = client.server.workers.run(work)
    yield done
    return encode(done.result())


class _Changed:
    """A state with changes that are not in the store yet."""

    def __init__(self, reader: Walkable, changes: dict[Name, bytes | None]) -> None:
        self._reader = reader
        self._changes = changes

    def get(self, key: bytes, /, *, family: int = 0) -> bytes | None:
        name = (family, key) if family else key
        return self._changes[name] if name in self._changes else self._reader.get(key, family=family)

    def contains(self, key: bytes, /, *, family: int = 0) -> bool:
        name = (family, key) if family else key
        if name in self._changes:
            return self._changes[name] is not None
        return self._reader.contains(key, family=family)

    def multi_get(self, keys: list[bytes], /, *, family: int = 0) -> list[bytes | None]:
        return [self.get(key, family=family) for key in keys]

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
