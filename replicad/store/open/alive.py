"""The open databases of this process, for what happens to it as a whole.

After a fork the child has a copy of the memory, and of the descriptors, but not of the threads: it must touch
nothing of a database that its parent opened. When the interpreter ends, databases that nobody closed are
closed.
"""

from __future__ import annotations

from collections.abc import Callable

from replicad.env.process import after_fork_in_child, at_exit
from replicad.store.core import Core
from replicad.store.holds.held import Holds
from replicad.store.writable_core import WritableCore


class Open:
    """One open database; forgotten when it is dropped."""

    __slots__ = ("__weakref__", "close", "core")

    def __init__(self, core: Core, close: Callable[[], None]) -> None:
        self.core = core
        self.close = close


_open: Holds[Open] = Holds()


def opened(core: Core, close: Callable[[], None]) -> Open:
    """Keep what this returns for as long as the database is open."""
    entry = Open(core, close)
    _open.add(entry)
    return entry


def _leave_to_parent() -> None:
    """In a child: every use is an error from now on, before it comes to a lock that another thread may have
    held."""
    for entry in _open.items():
        core = entry.core
        core.progress.forked = core.progress.closed = core.progress.ended = True
        if isinstance(core, WritableCore):
            core.stalled = core.refused = "the database belongs to the process that opened it"
            core.lock.release()  # The file stays locked by the parent's descriptor.


def _close_all() -> None:
    for entry in _open.items():
        if not entry.core.progress.closed:
            entry.close()


after_fork_in_child(_leave_to_parent)
at_exit(_close_all)
