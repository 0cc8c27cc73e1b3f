"""Closing: background work ends, the log is synced, the manifest says how far it came, the lock goes."""

from __future__ import annotations

from collections.abc import Callable

from replicad.errors import DiskFullError
from replicad.store.core import Core
from replicad.store.manifest.edit import Edit
from replicad.store.writable_core import WritableCore
from replicad.store.write.write_path import WritePath


def close_reading(core: Core) -> None:
    _once(core, lambda: _end_reading(core))


def close_writing(writes: WritePath) -> None:
    """What is in memtables is read back from the log at the next opening."""
    _once(writes.core, lambda: _end_writing(writes))


def _once(core: Core, close: Callable[[], None]) -> None:
    if core.progress.forked:
        core.progress.raise_if_ended()
    with core.closing:
        if not core.progress.closed:
            close()


def _end_reading(core: Core) -> None:
    """Open tables go with the last reader, even if others still have the database: they may be large, and
    removed."""
    core.progress.close()
    core.leases.end_all("the database was closed")
    with core.version_lock:
        core.version = core.version.closed()


def _end_writing(writes: WritePath) -> None:
    core = writes.core
    writes.background.stop()

    # The last sync comes after the last write, so everything that was taken is durable.
    last = writes.gate.end()
    try:
        if core.progress.failure is None:
            writes.syncer.sync_through(last)
        core.progress.close()
    finally:
        writes.syncer.close()
        _close_files(core)

    core.marks.close()
    _end_reading(core)


def _close_files(core: WritableCore) -> None:
    core.log.close()
    try:
        if core.progress.failure is None:
            core.manifest.close(Edit(synced=core.log.written, next_file=core.numbers.next))
    except DiskFullError:
        pass  # The log is durable and the manifest before this one is whole: nothing is owed.
    finally:
        core.manifest.abandon()
        core.lock.release()
