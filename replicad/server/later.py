"""What a command returns when its reply comes later: the work that finds it, and where that work is done.

A handler only describes the work. Its connection begins it once all replies before it are out, executes
nothing else of this client meanwhile, and sends what it finds (`Execution`).
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any

from replicad.store.reading import Snapshot

Pause = Future[Any] | None
"""What the next piece has to wait for: what a thread does, or only that others have had their turn."""
Work = Generator[Pause, None, bytes]
"""Yields where others may have their turn (`ClientState.turn_is_over`), and returns the reply."""


@dataclass(frozen=True, slots=True)
class InPieces:
    """Work on the loop that changes what it has looked at: nobody else writes until it is done.

    When it is done before the turn is over, its reply comes at once. Within EXEC it becomes a part of that.
    """

    work: Work


@dataclass(frozen=True, slots=True)
class InThread:
    """Work of any length, in a thread. It never begins when the client is gone by then."""

    work: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class LookUp:
    """What a thread finds in moments; it does not stand behind those that walk over the data."""

    work: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class OnSnapshot:
    """Work of any length on a snapshot of the visible state, in a thread; `encode` makes the reply of what it
    finds, on the loop. Without it the work finds the reply itself."""

    work: Callable[[Snapshot], Any]
    encode: Callable[[Any], bytes] | None = None


@dataclass(frozen=True, slots=True)
class AsTask:
    """What waits on the loop. It is cancelled when the client says or shows that it goes."""

    work: Callable[[], Coroutine[Any, Any, bytes]]


Later = InPieces | InThread | LookUp | OnSnapshot | AsTask
Reply = bytes | Later | None
"""What a command returns: its encoded reply, the work that finds it, or None for no reply at all."""
