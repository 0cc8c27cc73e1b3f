"""Starting what runs while a database is open for writing: the threads that sync, flush and merge, and the
write path."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from replicad.errors import StoreError
from replicad.store.background.lanes import Background
from replicad.store.open.closing import close_writing
from replicad.store.roles import finish_promotion
from replicad.store.syncer import Syncer
from replicad.store.writable_core import WritableCore
from replicad.store.write.write_path import WritePath


def start_writing(core: WritableCore) -> WritePath:
    """Whatever it raises, the directory is free again and no thread is left."""
    runner = core.env.runner
    with ExitStack() as undo:
        undo.callback(core.lock.release)
        undo.callback(core.manifest.abandon)
        syncer = Syncer(core.log, core.progress, core.env, core.timings.sync)
        undo.callback(syncer.close)
        flush_lane = runner.lane("flush")
        undo.callback(flush_lane.close)
        compaction_lane = runner.lane("compaction")
        undo.callback(compaction_lane.close)

        background = Background(core, syncer, flush_lane, compaction_lane)
        writes = WritePath(core, syncer, background)
        undo.pop_all()

    try:
        writes.judge_clock()  # From here on it is known how much time passed.
        if core.role == "owner":
            finish_promotion(writes)
        background.request_flush()
        background.request_compaction()
        return writes
    except BaseException:
        with suppress(StoreError):
            close_writing(writes)
        raise
