"""Closing: background work ends, the log is synced, the manifest says how far it came, the lock goes."""

from __future__ import annotations

from replicad.errors import DiskFullError
from replicad.store.background.lanes import Background
from replicad.store.core import Core
from replicad.store.manifest.edit import Edit
from replicad.store.write.write_path import WritePath


def close_core(core: Core, background: Background | None, writes: WritePath | None) -> None:
    """What is in memtables is read back from the log at the next opening.

    Open tables go with the last reader, even if others still have the database: they may be large, and
    removed.
    """
    if core.progress.forked:
        core.progress.raise_if_ended()
    with core.closing:
        if not core.progress.closed:
            _close(core, background, writes)


def _close(core: Core, background: Background | None, writes: WritePath | None) -> None:
    if background is not None and writes is not None and core.syncer is not None:
        background.stop()

        # The last sync comes after the last write, so everything that was taken is durable.
        last = writes.end()
        try:
            if core.progress.failure is None:
                core.syncer.sync_through(last)
            core.progress.close()
        finally:
            core.syncer.close()
            _close_files(core)

    core.progress.close()
    core.marks.close()
    core.leases.end_all("the database was closed")
    with core.version_lock:
        core.version = core.version.closed()


def _close_files(core: Core) -> None:
    core.log.close()
    assert core.manifest is not None
    try:
        if core.progress.failure is None:
            core.manifest.close(Edit(synced=core.log.written, next_file=core.numbers.next))
    except DiskFullError:
        pass  # The log is durable and the manifest before this one is whole: nothing is owed.
    finally:
        core.manifest.abandon()
        if core.lock is not None:
            core.lock.release()
